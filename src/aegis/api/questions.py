"""Questions as they arrive: strict JSON read quickly, and what was asked before in exactly the same bytes.

The quick path reads every body here. A plain body is read by msgspec, which keeps the last of two equal keys; that none
was lost is shown by writing the document out again and counting. Everything else goes through `kit.strict_json`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from aegis.api.route import refuse_nul
from aegis.kit.strict_json import Json, loads
from aegis.policy.cache import Answer
from aegis.policy.request import Request
from aegis.storage.policy_audit import Occasion, RowForm

MOST_KEPT = 8192
MOST_BYTES = 2048  # of a body that is kept
_KEY = b'":'
_SPACES = (b" ", b"\t", b"\n", b"\r")
_ZEROS = (b":-0", b",-0", b"[-0")
_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def document_of(body: bytes, *, max_bytes: int) -> Json:
    """The document; raises `Invalid` for whatever `kit.strict_json` refuses, and for NUL characters."""
    if is_plain(body):
        try:
            document = _DECODER.decode(body)
            if _ENCODER.encode(document).count(_KEY) == body.count(_KEY):
                return document
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # the strict reader says what is wrong
    document = loads(body, max_bytes=max_bytes)
    refuse_nul(document, "")
    return document


def is_plain(body: bytes) -> bool:
    """Whether nothing is escaped, no colon follows a space, and no number is -0.

    Then every key adds one to the count of `":`, a text that begins with a colon does so in both writings, and a key
    that was lost is missing in one of them.
    """
    if b"\\" in body or body.startswith(b"-0"):
        return False
    for space in _SPACES:  # compact bodies have none, and one byte is found fastest
        if space in body and (space + b":" in body or space + b"-0" in body):
            return False
    return not any(zero in body for zero in _ZEROS)


@dataclass(slots=True)
class Asked:
    """A question and the last answer to it; `stamp` names the policies that gave it."""

    request: Request
    answer: Answer | None = None
    stamp: str = ""
    form: RowForm | None = None

    def kept(self, stamp: str, now: datetime) -> Answer | None:
        """The last answer, where it still holds."""
        found = self.answer
        if found is None or self.stamp != stamp or now < found.made_at:
            return None
        return found if found.valid_until is None or now < found.valid_until else None

    def at(self, now: datetime) -> Request:
        asked = self.request
        return Request(
            asked.principal_id,
            asked.roles,
            asked.action,
            asked.resource,
            now,
            asked.metadata,
            asked.context,
            asked.change,
        )

    def keep(self, found: Answer, stamp: str) -> None:
        self.answer, self.stamp, self.form = found if found.keep else None, stamp, None

    def row(self, found: Answer, epoch: int, occasion: Occasion, *, latency_us: int, cached: bool) -> bytes:
        """The row of this question for the record."""
        form = self.form if found is self.answer else None
        if form is None:
            form = RowForm(self.request, found, epoch)
            if found is self.answer:
                self.form = form
        return form.row(occasion, latency_us=latency_us, cached=cached)


@dataclass(slots=True)
class Questions:
    """The questions of one kind that were asked lately, by their bytes: the same bytes are the same question."""

    _asked: dict[bytes, Asked] = field(default_factory=dict)

    def get(self, body: bytes) -> Asked | None:
        return self._asked.get(body)

    def add(self, body: bytes, asked: Asked) -> None:
        if len(body) > MOST_BYTES:
            return
        if len(self._asked) >= MOST_KEPT:
            del self._asked[next(iter(self._asked))]
        self._asked[body] = asked
