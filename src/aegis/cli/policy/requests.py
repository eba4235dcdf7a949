"""A request as a file, for `why` and `why-not`: who wants to do what to which resource, as a test in a policy has it.

It may carry `now`, as recorded facts do, and `change`, because nothing follows from the answer. Never used for a
decision that anything is done by.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from aegis.cli.policy.complaints import Complaint, Unreadable, complaint
from aegis.cli.policy.moments import now
from aegis.kit.clock import parse_rfc3339
from aegis.kit.errors import Invalid
from aegis.policy.request import Request, parse_request
from aegis.policy.yaml_text import document_of

STDIN = Path("-")


def read_request(path: Path, at: datetime | None) -> Request:
    """The request in the file (`-` is standard input), at the time given, its own, or now."""
    text = _text(path)
    try:
        document = document_of(text)
        own = document.get("now") if isinstance(document, dict) else None
        asked = {name: value for name, value in document.items() if name != "now"} if own is not None else document
        return parse_request(asked, now=at or _moment(own) or now(), simulation=True)
    except Invalid as error:
        step = (
            error.hint
            or "A request has principal {id, roles}, action and resource; metadata, context, change may follow."
        )
        error = Invalid(error.code, error.message, field=error.field, hint=step)
        raise Unreadable([complaint(path, text, error)]) from None


def _text(path: Path) -> str:
    if path == STDIN:
        return sys.stdin.read()
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        message = f"it cannot be read ({error.strerror})"
        raise Unreadable([Complaint(path, message, "Name a file with one request, or - for standard input.")]) from None


def _moment(text: Any) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_rfc3339(text)
    except (TypeError, ValueError):
        raise Invalid("request_invalid", "a time carries its offset from UTC", field="/now") from None
