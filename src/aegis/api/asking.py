"""The two forms of asking of this API: one question, and a batch of them under one set of policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from aegis.api.deps import V1
from aegis.api.evaluate import Desk, Given, Wanted
from aegis.api.evaluation_document import MOST_QUESTIONS
from aegis.api.questions import Asked, Questions, document_of, is_plain
from aegis.kit.errors import Invalid
from aegis.policy.documents import MAX_BYTES
from aegis.policy.request import parse_request

MAX_BATCH_BYTES = 1 << 20
_NAME = b'"requests"'


class One:
    """`POST /policies/evaluate`: the body is the question."""

    path = f"{V1}/policies/evaluate"
    max_bytes = MAX_BYTES
    echoes = False

    def __init__(self) -> None:
        self._questions = Questions()

    def read(self, body: bytes, desk: Desk) -> tuple[Wanted, Callable[[list[Given]], bytes]]:
        asked = self._questions.get(body)
        if asked is None:
            document = document_of(body, max_bytes=self.max_bytes)
            asked = Asked(parse_request(document, now=desk.clock.now()))
            self._questions.add(body, asked)
        return Wanted((asked,)), _first


def _first(given: list[Given]) -> bytes:
    return given[0].body()


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    requests: list[msgspec.Raw]


class Batch:
    """`POST /policies/evaluate/batch`: `{"requests": [question, …]}`; one that cannot be read refuses them all."""

    path = f"{V1}/policies/evaluate/batch"
    max_bytes = MAX_BATCH_BYTES
    echoes = False

    def __init__(self) -> None:
        self._questions = Questions()
        self._decoder = msgspec.json.Decoder(_Batch)

    def read(self, body: bytes, desk: Desk) -> tuple[Wanted, Callable[[list[Given]], bytes]]:
        pieces = self._pieces(body)
        if pieces is None:
            asked = self._read_strictly(body, desk)
        else:
            _check_number(len(pieces))
            asked = [self._asked(piece, place, desk) for place, piece in enumerate(pieces)]
        return Wanted(asked), _all

    def _pieces(self, body: bytes) -> list[bytes] | None:
        """Each question's own bytes, where the body around them is plain; its one field is there once."""
        if not is_plain(body) or body.count(_NAME) != 1:
            return None
        try:
            return [bytes(raw) for raw in self._decoder.decode(body).requests]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def _asked(self, piece: bytes, place: int, desk: Desk) -> Asked:
        asked = self._questions.get(piece)
        if asked is None:
            asked = _parsed(document_of(piece, max_bytes=self.max_bytes), place, desk)
            self._questions.add(piece, asked)
        return asked

    def _read_strictly(self, body: bytes, desk: Desk) -> list[Asked]:
        document = document_of(body, max_bytes=self.max_bytes)
        if not isinstance(document, dict) or set(document) != {"requests"}:
            raise Invalid("request_invalid", "a batch is an object with the one field requests", field="/requests")
        if not isinstance(document["requests"], list):
            raise Invalid("request_invalid", "requests are a list", field="/requests")
        _check_number(len(document["requests"]))
        return [_parsed(one, place, desk) for place, one in enumerate(document["requests"])]


def _check_number(number: int) -> None:
    if not 1 <= number <= MOST_QUESTIONS:
        raise Invalid("batch_size", f"a batch has 1 to {MOST_QUESTIONS} requests", field="/requests")


def _parsed(document: Any, place: int, desk: Desk) -> Asked:
    try:
        return Asked(parse_request(document, now=desk.clock.now()))
    except Invalid as error:
        at = f"/requests/{place}{'' if error.field in (None, '/') else error.field}"
        raise Invalid(error.code, error.message, field=at, hint=error.hint) from None


def _all(given: list[Given]) -> bytes:
    """As `Given.body` writes each, without a call for each: a batch has a thousand."""
    known, fresh = b'{"id":%d,"cached":true,%b', b'{"id":%d,"cached":false,%b'
    items = [(known if cached else fresh) % (record, found.body[1:]) for found, cached, record in given]
    return b'{"items":[%b]}' % b",".join(items)
