"""The catalogue speaks PromQL that the sandbox understands, and every signal's meaning is complete."""

from __future__ import annotations

import numpy as np
import pytest

from aegis.incidents.sentence import WORDS
from aegis.sandbox.promql.parser import parse
from aegis.telemetry.catalogue import CONTEXT, NAMES, NEWEST, PRESENCE, SIGNALS, promql
from aegis.telemetry.series import Series


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_has_a_query_and_words_for_people(name: str) -> None:
    query = promql(SIGNALS[name], "shop", 20)
    assert "$" not in query.replace('"$1"', "")
    parse(query)
    assert name in WORDS


def test_what_proves_a_zero_is_a_signal_that_is_never_taken_for_zero_itself() -> None:
    proofs = {signal.zero_with for signal in SIGNALS.values()} - {None}
    assert proofs == {PRESENCE, "request_rate"}
    assert all(SIGNALS[str(proof)].zero_with is None for proof in proofs)
    assert set(CONTEXT) <= set(NAMES)
    parse(NEWEST)


def test_a_series_of_unequal_lengths_cannot_be() -> None:
    with pytest.raises(ValueError, match="equal-length"):
        Series("deployment/shop/cart", "restarts", np.zeros(2), np.zeros(3))
