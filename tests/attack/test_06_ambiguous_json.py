"""Attack 6: bodies that two parsers read differently, properly signed: refused before any digest is taken (P2)."""

from __future__ import annotations

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

from aegis.actions.ticket import canonical_body

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration

TRICKS = {
    "a duplicate key": (b'"name":"cart"', b'"name":"cart","name":"payments"', "bad_json"),
    "a duplicate key, escaped": (b'"name":"cart"', b'"n\\u0061me":"payments","name":"cart"', "bad_json"),
    "not a number": (b'"generation":', b'"generation":NaN,"was":', "bad_json"),
    "infinity": (b'"generation":', b'"generation":Infinity,"was":', "bad_json"),
    "a huge exponent": (b'"generation":', b'"generation":1e400,"was":', "bad_json"),
    "minus zero": (b'"generation":', b'"generation":-0,"was":', "bad_json"),
    "minus zero with a fraction": (b'"generation":', b'"generation":-0.0,"was":', "bad_json"),
    "an unsafe integer": (b'"generation":', b'"generation":9007199254740993,"was":', "bad_json"),
    "a lone surrogate": (b'"name":"cart"', b'"name":"\\ud800"', "bad_json"),
    "a byte order mark": (b'{"action"', b'\xef\xbb\xbf{"action"', "bad_json"),
    "broken UTF-8": (b'"name":"cart"', b'"name":"c\xffrt"', "bad_json"),
    "trailing bytes": (b'"v":1}', b'"v":1}x', "bad_json"),
    "two documents": (b'"v":1}', b'"v":1}{}', "bad_json"),
    "trailing white space": (b'"v":1}', b'"v":1} ', "not_canonical"),
    "white space inside": (b'"v":1}', b'"v": 1}', "not_canonical"),
    "an escaped letter": (b'"name":"cart"', b'"name":"c\\u0061rt"', "not_canonical"),
    "keys in another order": (b'"v":1}', b'"v":1,"a":1}', "not_canonical"),
    "a float that is an integer": (b'"v":1}', b'"v":1.0}', "not_canonical"),
    "an unknown field": (b'"v":1}', b'"v":1,"w":1}', "bad_body"),
    "a missing field": (b',"v":1}', b"}", "bad_body"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_body_that_can_be_read_in_two_ways_is_read_in_none(world: ExecutorWorld, trick: str) -> None:
    before = world.effects()
    old, new, code = TRICKS[trick]
    action = world.action()
    body = canonical_body(action)
    assert body.count(old) == 1
    request = world.sign(body.replace(old, new), decision=world.decide(action))
    assert world.refused(request) == code
    assert world.effects() == before


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"1", b'"text"', b"{", b"\x00"])
def test_a_body_that_is_no_object_is_refused(world: ExecutorWorld, body: bytes) -> None:
    assert world.refused(world.sign(body, decision=world.decide(world.action()))) in {"bad_json", "bad_body"}
