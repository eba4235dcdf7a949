"""Verification: from samples before and after an action to a verdict. Pure; absence of evidence is never success."""
