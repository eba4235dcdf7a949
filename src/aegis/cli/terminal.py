"""What the command line writes for people and programs: text that cannot act on a terminal, and JSON.

Commands and the error handler of `aegis` print through it. It decides nothing and reads nothing.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

# Escape sequences, line breaks and turned writing: they could show somebody another plan than the one they approve.
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def visible(found: Any) -> Any:
    """An answer as a person may see it in a terminal: what would act on the terminal is spelt out instead."""
    match found:
        case str():
            return UNSEEN.sub(lambda one: one[0].encode("unicode_escape").decode(), found)
        case list():
            return [visible(item) for item in found]
        case dict():
            return {name: visible(item) for name, item in found.items()}
        case _:
            return found


def print_json(document: Any) -> None:
    """The document as it came; what would act on a terminal is escaped, which is the same JSON."""
    for line in json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).split("\n"):
        sys.stdout.write(UNSEEN.sub(lambda one: f"\\u{ord(one[0]):04x}", line) + "\n")
