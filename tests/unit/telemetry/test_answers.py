"""An answer becomes columns on a grid; whatever else is in it is dropped, and whatever it is not is unavailable."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.kit.errors import Unavailable
from aegis.telemetry.answers import read_answer, to_columns

GRID = np.array([0.0, 5.0, 10.0])


def body(*result: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"result": result}}).encode()


def columns(*result: Any) -> dict[str, Any]:
    found = to_columns(read_answer(200, body(*result)), GRID, 5.0)
    return {name: [None if np.isnan(value) else value for value in column] for name, column in found.items()}


def matrix(name: str, *values: Any) -> dict[str, Any]:
    return {"metric": {"workload": name}, "values": list(values)}


def test_values_are_put_on_the_grid_and_the_rest_is_absent() -> None:
    assert columns(matrix("cart", [0, "1"], [10.2, "3"]), matrix("search", [5, "NaN"])) == {
        "cart": [1.0, None, 3.0],
        "search": [None, None, None],
    }


def test_a_vector_is_a_matrix_of_one() -> None:
    assert columns({"metric": {"workload": "cart"}, "value": [5, "2"]}) == {"cart": [None, 2.0, None]}


@pytest.mark.parametrize("name", ["", "..", "a..b", "a/b", "Cart", "ca rt", "cart\n", "-cart", "x" * 254, "cärt"])
def test_a_name_that_no_object_can_have_is_dropped(name: str) -> None:
    assert columns(matrix(name, [0, "1"]), matrix("ok", [0, "1"])) == {"ok": [1.0, None, None]}


def test_a_number_beyond_all_floats_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        read_answer(200, body(matrix("cart", [10**400, "1"])))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["status", "data", "result", "metric", "value", "values"]), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(
    st.sampled_from([200, 400, 503]), st.one_of(JSON.map(lambda one: json.dumps(one).encode()), st.binary(max_size=40))
)
def test_any_body_is_read_or_unavailable(status: int, content: bytes) -> None:
    try:
        answer = read_answer(status, content)
    except Unavailable:
        return
    to_columns(answer, GRID, 5.0)


@given(JSON)
def test_any_result_is_read_or_unavailable(result: Any) -> None:
    content = json.dumps({"status": "success", "data": {"result": [result]}}).encode()
    try:
        to_columns(read_answer(200, content), GRID, 5.0)
    except Unavailable:
        return
