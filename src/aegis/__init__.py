"""Aegis: a self-healing control plane for Kubernetes.

Nothing happens that policy did not allow. Nothing stays that did not help. Anyone can check the record.
"""

__version__ = "0.1.0"
