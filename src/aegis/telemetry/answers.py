"""Prometheus' answers, parsed at the border: what is not a well-formed answer is `Unavailable`, never a crash.

The Prometheus source calls it with a status and the bytes that came; a server that lies about its form, its times or
its numbers can make samples missing and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from aegis.kit.errors import Unavailable
from aegis.telemetry.series import Floats

Labels = dict[str, str]
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


def read_answer(status: int, body: bytes) -> list[tuple[Labels, Floats]]:
    """Series of a vector or matrix answer: labels and (n, 2) of time and value; raises `Unavailable`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Unavailable("prometheus_bad_answer", f"Prometheus answered {status} and no JSON") from None
    if not isinstance(document, dict) or status != 200 or document.get("status") != "success":
        why = str(document.get("error", "no reason given"))[:300] if isinstance(document, dict) else "no object"
        raise Unavailable("prometheus_failed", f"Prometheus answered {status}: {why}")
    try:
        result = document["data"]["result"]
        if not isinstance(result, list):
            raise TypeError
        return [_series(one) for one in result]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise Unavailable("prometheus_bad_answer", "Prometheus answered in a form that is not its own") from None


def _series(one: Any) -> tuple[Labels, Floats]:
    pairs = one["values"] if "values" in one else [one["value"]]
    samples = np.array(pairs, dtype=np.float64).reshape(len(pairs), 2)
    return {str(name): str(text) for name, text in one["metric"].items()}, samples


def to_columns(answer: Sequence[tuple[Labels, Floats]], times: Floats, step: float) -> dict[str, Floats]:
    """Values on the grid by workload, NaN where there is no finite sample.

    Samples off the grid and names that no Kubernetes object can have are dropped.
    """
    found: dict[str, Floats] = {}
    for labels, samples in answer:
        name = labels.get("workload", "")
        if _NAME.fullmatch(name) is None or ".." in name:
            continue
        column = found.setdefault(name, np.full(len(times), np.nan))
        usable = samples[np.isfinite(samples).all(axis=1)]
        offset = np.rint((usable[:, 0] - times[0]) / step)
        inside = (offset >= 0) & (offset < len(times))
        column[offset[inside].astype(np.int64)] = usable[inside, 1]
    return found
