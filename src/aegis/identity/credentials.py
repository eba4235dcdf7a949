"""Session ids and access tokens: 256 random bits for the holder, a SHA-256 for the database.

A secret of full entropy needs no slow hash; whoever reads the table cannot log in with what it holds.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

SESSION_IDLE = timedelta(minutes=30)
SESSION_LIFE = timedelta(hours=12)
TOKEN_LIFE = timedelta(days=30)
TOKEN_PREFIX = "aegis_pat_"  # so that a token in a log or a repository is found by who looks for such things
_BYTES = 32


def new_session_id() -> str:
    return secrets.token_urlsafe(_BYTES)


def new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(_BYTES)


def digest(secret: str) -> bytes:
    """What is stored and looked up instead of the secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def same(given: str, expected: str) -> bool:
    """Compared in constant time, whatever the lengths."""
    return secrets.compare_digest(digest(given), digest(expected))
