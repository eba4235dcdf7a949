"""What a raw document may weigh before any model looks at it: depth, nodes, text, and where the bound was passed.

Used by `documents` and `request` at the border. Work is bounded by construction: the walk stops at the first excess,
so a document that refers to itself or repeats one part a million times costs no more than one at the limit.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from typing import Any

from aegis.kit.errors import Invalid

MAX_SAFE_INTEGER = 2**53 - 1
MAX_KEY = 256
NUL = "\0"


def pointer(parts: Iterable[str | int]) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def check(document: Any, *, depth: int, nodes: int, text: int, total: int, nulls: tuple[str, ...] = ()) -> None:
    """Raise `Invalid` with a pointer where the document is deeper, larger or stranger than JSON of these bounds.

    `text` bounds one piece of text and `total` all of them, in characters. Null is refused except below the top-level
    fields named in `nulls`: a field without a value is left out.
    """
    stack: list[tuple[Any, tuple[str | int, ...]]] = [(document, ())]
    seen = written = 0
    while stack:
        value, at = stack.pop()
        seen += 1
        if seen > nodes:
            raise Invalid("document_too_large", f"at most {nodes} values are accepted", field=pointer(at))
        if len(at) > depth:
            raise Invalid("document_too_deep", f"nesting deeper than {depth} is refused", field=pointer(at))
        if isinstance(value, dict):
            written += _keys(value, at)
            _room(len(value), seen + len(stack), nodes, at)
            for key, item in value.items():
                # Most are short text, and need no second look.
                if type(item) is str and len(item) <= text and len(at) < depth and NUL not in item:
                    seen += 1
                    written += len(item)
                else:
                    stack.append((item, (*at, key)))
        elif isinstance(value, list):
            _room(len(value), seen + len(stack), nodes, at)
            for index, item in enumerate(value):
                if type(item) is str and len(item) <= text and len(at) < depth and NUL not in item:
                    seen += 1
                    written += len(item)
                else:
                    stack.append((item, (*at, index)))
        elif value is None:
            if not at or at[0] not in nulls:
                raise Invalid("document_null", "null is not used; leave the field out", field=pointer(at))
        else:
            written += _scalar(value, at, text)
        if written > total:
            raise Invalid("document_too_large", f"more than {total} characters of text", field=pointer(at))


def _room(more: int, so_far: int, nodes: int, at: tuple[str | int, ...]) -> None:
    if so_far + more > nodes:
        raise Invalid("document_too_large", f"at most {nodes} values are accepted", field=pointer(at))


def _keys(value: dict[Any, Any], at: tuple[str | int, ...]) -> int:
    written = 0
    for key in value:
        if not isinstance(key, str) or len(key) > MAX_KEY or NUL in key:
            rule = f"a key is text of at most {MAX_KEY} characters, none of them NUL"
            raise Invalid("document_key", rule, field=pointer(at))
        written += len(key)
    return written


def _scalar(value: Any, at: tuple[str | int, ...], text: int) -> int:
    """How many characters of text it is."""
    if isinstance(value, str):
        if len(value) > text:
            raise Invalid("document_text", f"{len(value)} characters; at most {text}", field=pointer(at))
        if NUL in value:
            raise Invalid("document_text", "a NUL character cannot be stored", field=pointer(at))
        return len(value)
    if isinstance(value, (int, float)):
        if not math.isfinite(value) or abs(value) > MAX_SAFE_INTEGER:
            raise Invalid("document_number", "a number is finite and within 2^53-1", field=pointer(at))
        return 0
    raise Invalid("document_type", f"{type(value).__name__} is not a JSON value", field=pointer(at))


def readable(text: str) -> str:
    """The text, when a reader sees what a machine compares; raises ValueError for what only looks like it.

    Control, formatting and private characters are invisible; letters of two scripts in one word are how `prod` is
    written with a Cyrillic letter.
    """
    if text.isascii():
        if not text.isprintable():
            raise ValueError("control characters are refused")
        return text
    if unicodedata.normalize("NFC", text) != text:
        raise ValueError("text is written in Unicode normal form C")
    for word in text.split():
        scripts = {unicodedata.name(char, "?").split(" ")[0] for char in word if char.isalpha()}
        if len(scripts) > 1:
            raise ValueError(f"letters of several scripts in one word: {', '.join(sorted(scripts))}")
    if any(unicodedata.category(char)[0] == "C" for char in text):
        raise ValueError("invisible characters are refused")
    return text
