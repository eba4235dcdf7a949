"""JSON as strangers must write it: duplicate keys, NaN, huge numbers, lone surrogates and deep nesting are refused.

`json`, orjson, msgspec and Pydantic all keep the last of two equal keys silently; here every such document raises.
`canonical` is RFC 8785 without floats, the form that digests and signatures are taken over.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import rfc8785

from aegis.kit.errors import Invalid

MAX_DEPTH = 32
MAX_SAFE_INTEGER = 2**53 - 1  # RFC 7493: integers beyond it do not survive other parsers
Json = Any  # a JSON document at the border: its shape is checked by the model that reads it next


def loads(data: bytes | str, *, max_bytes: int = 1 << 20, max_depth: int = MAX_DEPTH) -> Json:
    """The document in `data`; raises `Invalid` with a reason code for anything ambiguous or oversized."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > max_bytes:
        raise Invalid("json_too_large", f"the document has {len(raw)} bytes; at most {max_bytes} are accepted")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise Invalid("json_bom", "the document starts with a byte order mark")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid("json_not_utf8", f"byte {error.start} is not UTF-8") from None
    _check_depth(text, max_depth)
    try:
        document = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constants,
            parse_float=_finite,
            parse_int=_safe_int,
        )
    except json.JSONDecodeError as error:
        raise Invalid("json_syntax", f"line {error.lineno} column {error.colno}: {error.msg}") from None
    _check_text(document)
    return document


def canonical(document: Json) -> bytes:
    """RFC 8785 bytes of a document without floats; raises `Invalid` where one hides."""
    _no_floats(document, "")
    try:
        return rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:
        raise Invalid("not_canonical", str(error)) from None


def _check_depth(text: str, limit: int) -> None:
    depth, in_string, escaped = 0, False, False
    for position, char in enumerate(text):
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            if depth > limit:
                raise Invalid("json_too_deep", f"nesting deeper than {limit} at character {position}")
        elif char in "]}":
            depth -= 1


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise Invalid("json_duplicate_key", f"the key {key!r} appears twice in one object", field=f"/{key}")
        result[key] = value
    return result


def _no_constants(name: str) -> NoReturn:
    raise Invalid("json_not_a_number", f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Invalid("json_number_range", f"{text} is out of range")
    if value == 0 and text.startswith("-"):
        raise Invalid("json_negative_zero", "-0 is ambiguous")
    return value


def _safe_int(text: str) -> int:
    if text == "-0":
        raise Invalid("json_negative_zero", "-0 is ambiguous")
    if len(text) > 17 or abs(int(text)) > MAX_SAFE_INTEGER:
        raise Invalid("json_number_range", f"integers beyond 2^53-1 are refused: {text[:24]}")
    return int(text)


def _check_text(value: Json) -> None:
    if isinstance(value, str):
        if any(0xD800 <= ord(char) <= 0xDFFF for char in value):
            raise Invalid("json_lone_surrogate", "a string holds a lone surrogate")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)


def _no_floats(value: Json, path: str) -> None:
    if isinstance(value, float):
        raise Invalid("not_canonical", "signed documents hold no floats; use integers or strings", field=path or "/")
    if isinstance(value, dict):
        for key, item in value.items():
            _no_floats(item, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _no_floats(item, f"{path}/{index}")
