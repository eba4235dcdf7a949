"""An audit entry: who did what to what, when, as canonical bytes that are hashed once and never change.

Whoever changes state appends one in the same transaction (`storage.audit.append`). An entry is one line of RFC 8785
JSON without floats; control characters are escaped by JSON itself, so nothing can forge a second line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aegis.kit.clock import rfc3339
from aegis.kit.errors import Invalid
from aegis.kit.strict_json import canonical

VERSION = 1
MAX_ENTRY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """`kind` is `subject:verb`, `actor` who did it, `subject` the id of what it was done to; `data` holds no floats."""

    kind: str
    at: datetime
    actor: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def canonical(self) -> bytes:
        """The bytes that are hashed; raises `Invalid` for floats and for entries over 64 KiB."""
        document = {
            "v": VERSION,
            "kind": self.kind,
            "at": rfc3339(self.at),
            "actor": self.actor,
            "subject": self.subject,
            "data": dict(self.data),
        }
        content = canonical(document)
        if len(content) > MAX_ENTRY_BYTES:
            raise Invalid("entry_too_large", f"an audit entry has at most {MAX_ENTRY_BYTES} bytes, not {len(content)}")
        return content
