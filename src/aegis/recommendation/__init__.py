"""Recommendation: from a diagnosis to ranked proposals out of the closed catalogue. Pure; it only ever proposes."""
