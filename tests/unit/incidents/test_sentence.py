from __future__ import annotations

import pytest

from aegis.incidents.sentence import counted, describe, in_the_past

CART = "deployment/shop/cart"


def one(signal: str, unit: str, value: float | None, expected: float | None = None) -> dict[str, object]:
    return {"signal": signal, "unit": unit, "value": value, "expected": expected}


@pytest.mark.parametrize(
    ("evidence", "sentence"),
    [
        (one("error_ratio", "ratio", 0.202, 0.002), "cart in shop: error ratio is 20.2% (expected 0.2%)"),
        (one("restarts", "restarts/5m", 1.5), "cart in shop: restarts in five minutes are 1.5"),
        (one("replicas_unavailable", "pods", 1.0, 0.0), "cart in shop: unavailable replicas are 1 (expected 0)"),
        (one("request_rate", "req/s", None), "cart in shop: request rate is missing"),
    ],
)
def test_one_thing_is_and_several_are(evidence: dict[str, object], sentence: str) -> None:
    assert describe(CART, [evidence]) == sentence


def test_what_is_over_was() -> None:
    said = {"class": "crash_loop", "probability": 0.9}
    shown = describe(CART, [one("restarts", "restarts/5m", 3.0), one("error_ratio", "ratio", 0.2)], said)
    assert in_the_past(shown) == (
        "cart in shop: restarts in five minutes were 3 and error ratio was 20.0%; probably a crash loop (90%)"
    )


def test_one_is_not_several() -> None:
    assert [counted(number, "pod") for number in (0, 1, 2)] == ["0 pods", "1 pod", "2 pods"]
