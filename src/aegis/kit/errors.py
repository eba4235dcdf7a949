"""One family of errors; the kind says what the caller can do, the code says which rule was broken.

Domain code raises these; `api/problems.py` alone turns kinds into HTTP status codes.
`retriable` is part of the type: nobody guesses from a message whether to try again.
"""

from __future__ import annotations

from typing import ClassVar


class AegisError(Exception):
    """Base of every expected failure.

    `code` is a stable snake_case reason, `message` one sentence for a person, `field` a JSON pointer
    to the offending input where there is one, `hint` the next step.
    """

    kind: ClassVar[str] = "internal"
    retriable: ClassVar[bool] = False

    def __init__(self, code: str, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.hint = hint

    def __str__(self) -> str:
        where = f" (at {self.field})" if self.field else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{self.message}{where}{hint}"


class Invalid(AegisError):
    """The input breaks a rule; sending it again will not help."""

    kind = "invalid"


class Unauthenticated(AegisError):
    """Nobody we know is asking."""

    kind = "unauthenticated"


class Denied(AegisError):
    """Known, understood and refused."""

    kind = "denied"


class NotFound(AegisError):
    kind = "not_found"


class Conflict(AegisError):
    """The state moved on; read again, then decide."""

    kind = "conflict"


class Expired(AegisError):
    kind = "expired"


class RateLimited(AegisError):
    kind = "rate_limited"
    retriable = True


class Unavailable(AegisError):
    """Something we need did not answer; trying later may help."""

    kind = "unavailable"
    retriable = True
