"""Incidents: what makes two anomalies the same one, what it probably is, and how it is said. Pure."""
