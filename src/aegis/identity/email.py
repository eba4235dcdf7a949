"""E-mail addresses as names of people: one spelling each, plain ASCII, safe to print and to compare.

The API parses with it at the border; everything behind takes the result as it is. No mail is ever sent.
"""

from __future__ import annotations

import re

from aegis.kit.errors import Invalid

MAX_LENGTH = 254
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ADDRESS = re.compile(rf"[a-z0-9_](?:[a-z0-9._%+-]{{0,63}})@{_LABEL}(?:\.{_LABEL})*", re.ASCII)


def parse_email(text: str) -> str:
    """The address in lower case; raises `Invalid` for anything that is not plainly one."""
    address = text.lower() if text.isascii() else ""
    if len(address) > MAX_LENGTH or _ADDRESS.fullmatch(address) is None:
        raise Invalid("bad_email", "this is no e-mail address, like ada@example.org.", field="/email")
    return address
