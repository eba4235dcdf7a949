"""Policies in YAML: the part of YAML that means the same to every reader, turned into the document JSON would give.

Used by the command line, the policy directory and the API. Duplicate keys, anchors, aliases, tags, several documents
and words that YAML 1.1 takes for something else (`yes`, `08:00`, `2026-03-03`) are refused with line and column or
read as the text they look like; parsing is bounded by the size limit before it starts.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from aegis.kit.errors import Invalid
from aegis.kit.strict_json import loads
from aegis.policy.bounds import MAX_SAFE_INTEGER
from aegis.policy.documents import MAX_BYTES, MAX_VALUES, Policy, sized, validate

MAX_DEPTH = 32
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NUMBERISH = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0b[01_]+|[0-9][0-9_]*|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|[0-9_]*\.[0-9_]*)"
    r"(?:[eE][-+]?[0-9]+)?",
    re.ASCII,
)
_AMBIGUOUS = {"yes", "no", "on", "off", "y", "n"}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


def parse_any(raw: bytes | str) -> Policy:
    """The policy in JSON or YAML; raises `Invalid` naming the field, or line and column, and the rule."""
    return validate(document_of(raw))


def document_of(raw: bytes | str, *, max_bytes: int = MAX_BYTES) -> Any:
    """The strictly parsed document in JSON (when it starts with a brace) or YAML, not validated."""
    data = sized(raw, max_bytes)
    if data.lstrip().startswith(b"{"):
        return loads(data, max_bytes=max_bytes)
    try:
        return _load(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Invalid("policy_not_utf8", f"byte {error.start} is not UTF-8") from None


def _load(text: str) -> Any:
    """Events become values one by one; nothing is kept that a later part could refer to."""
    try:
        return _Reader(text).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise _refused(mark, str(problem)) from None


class _Reader:
    """A pull parser over PyYAML's events, which resolve no tag and expand no alias."""

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._values = 0

    def document(self) -> Any:
        self._next()  # the stream starts
        if isinstance(self._next(), yaml.StreamEndEvent):
            raise Invalid("yaml_syntax", "the document is empty")
        value = self._value(self._next(), 0)
        self._next()  # the document ends
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            raise _refused(after.start_mark, "one document at a time")
        return value

    def _next(self) -> Any:
        return next(self._events)

    def _value(self, event: Any, depth: int) -> Any:
        self._check(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(depth)
        return self._mapping(depth)

    def _check(self, event: Any, depth: int) -> None:
        self._values += 1
        if isinstance(event, yaml.AliasEvent):
            raise _refused(event.start_mark, f"aliases are refused: *{event.anchor}")
        if event.anchor is not None:
            raise _refused(event.start_mark, f"anchors are refused: &{event.anchor}")
        if event.tag is not None:
            raise _refused(event.start_mark, f"tags are refused: {event.tag}")
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise _refused(event.start_mark, f"at most {MAX_DEPTH} levels and {MAX_VALUES} values are accepted")

    def _sequence(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            found.append(self._value(event, depth + 1))
        return found

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            self._check(event, depth + 1)
            if not isinstance(event, yaml.ScalarEvent) or event.value == "<<":
                raise _refused(event.start_mark, "a key is text, and merges are refused")
            key = event.value
            if key in found:
                raise _refused(event.start_mark, f"the key {key!r} appears twice")
            found[key] = self._value(self._next(), depth + 1)
        return found


def _scalar(event: Any) -> Any:
    """Quoted is text; plain is true, false, null or a number as in JSON, or text."""
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text.lower() in _AMBIGUOUS or text.lower() in _WORDS:
        raise _refused(
            event.start_mark, f"{text} means different things to different readers; write true, false or quotes"
        )
    if _NUMBER.fullmatch(text):
        return _number(event, text)
    if _NUMBERISH.fullmatch(text):
        raise _refused(
            event.start_mark, f"{text} means different things to different readers; write quotes around text"
        )
    return text


def _number(event: Any, text: str) -> int | float:
    if len(text) > 32:
        raise _refused(event.start_mark, "a number has at most 32 characters")
    value = int(text) if text.lstrip("-").isdigit() else float(text)
    if not math.isfinite(value) or abs(value) > MAX_SAFE_INTEGER or (value == 0 and text.startswith("-")):
        raise _refused(event.start_mark, f"{text} is out of range")
    return value


def _refused(mark: Any, problem: str) -> Invalid:
    where = "" if mark is None else f"line {mark.line + 1} column {mark.column + 1}: "
    return Invalid("yaml_syntax", f"{where}{problem}")
