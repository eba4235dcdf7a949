"""The floor every package stands on: clock, ids, errors, strict JSON, settings, logging, metrics, serving.

Everything may import it; it imports nothing of Aegis and knows nothing of remediations, policies or clusters.
"""
