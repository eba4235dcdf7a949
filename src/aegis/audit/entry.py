"""One audit entry: what happened, when, by whom, to what; fixed forever as its canonical bytes.

Made by the repositories that change state, in the transaction of the change. It never holds a secret or a float.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aegis.kit.clock import parse_rfc3339, rfc3339
from aegis.kit.errors import Invalid
from aegis.kit.strict_json import canonical, loads

VERSION = 1
MAX_BYTES = 256 * 1024
KIND = re.compile(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*", re.ASCII)
_TEXTS = ("kind", "at", "actor", "subject")
_KEYS = {"v", "data", *_TEXTS}


@dataclass(frozen=True, slots=True)
class Entry:
    """`kind` is `subject:verb`; `data` holds JSON without floats (times and tuples are written as JSON)."""

    kind: str
    at: datetime
    actor: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def canonical(self) -> bytes:
        """RFC 8785 bytes; raises `Invalid` for a bad kind, a float or more than 256 KiB."""
        if KIND.fullmatch(self.kind) is None:
            raise Invalid("audit_kind", f"{self.kind!r} is no kind of entry: write subject:verb in lower case")
        document = {
            "v": VERSION,
            "kind": self.kind,
            "at": rfc3339(self.at),
            "actor": self.actor,
            "subject": self.subject,
            "data": _as_json(self.data),
        }
        encoded = canonical(document)
        if len(encoded) > MAX_BYTES:
            raise Invalid("audit_entry_too_large", f"an audit entry has at most {MAX_BYTES} bytes, not {len(encoded)}")
        return encoded


def parse(encoded: bytes) -> Entry:
    """The entry with exactly these bytes; raises `Invalid` when they are not what `canonical` writes."""
    document = loads(encoded, max_bytes=MAX_BYTES)
    if not isinstance(document, dict) or set(document) != _KEYS or document["v"] != VERSION:
        raise Invalid("audit_entry_shape", "this is no audit entry of a version known here")
    if not all(isinstance(document[name], str) for name in _TEXTS) or not isinstance(document["data"], dict):
        raise Invalid("audit_entry_shape", "a field of the entry has another type than entries have")
    try:
        at = parse_rfc3339(document["at"])
    except ValueError:
        raise Invalid("audit_entry_shape", "the entry's time cannot be read") from None
    entry = Entry(document["kind"], at, document["actor"], document["subject"], document["data"])
    if entry.canonical() != encoded:
        raise Invalid("audit_entry_shape", "the entry's bytes are not in canonical form")
    return entry


def _as_json(value: Any) -> Any:
    """Times as RFC 3339, enumerations as their text, tuples as arrays; `canonical` judges the rest."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_as_json(item) for item in value]
    return value
