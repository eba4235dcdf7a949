"""What makes two anomalies the same incident: the entity. One fault moves many signals, and they belong together."""

from __future__ import annotations

import hashlib

DOMAIN = b"aegis.incident.v1\0"


def fingerprint(entity: str) -> str:
    """32 hex characters, stable over restarts and versions."""
    return hashlib.sha256(DOMAIN + entity.encode()).hexdigest()[:32]
