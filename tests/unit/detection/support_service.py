"""A noisy service with a daily rhythm, and the faults that detection must see in it."""

from __future__ import annotations

import numpy as np

from aegis.detection.frame import Floats, Frame

NAMES = (
    "request_rate",
    "error_ratio",
    "latency_p95",
    "cpu_limit_ratio",
    "memory_bytes",
    "restarts",
    "waiting_crash_loop",
    "replicas_wanted",
)
INTERVAL = 5.0
HOUR = 720
START = 1_700_000_000.0


def healthy(samples: int, seed: int = 0, offset: int = 0) -> Frame:
    """`samples` five-second samples; `offset` samples into the day."""
    random = np.random.default_rng(seed)
    index = np.arange(offset, offset + samples)
    day = 1 + 0.35 * np.sin(2 * np.pi * index * INTERVAL / 86400)
    # rates over a 20 s window: four scrapes overlap
    rate = _overlap(random.poisson(50 * 5 * np.append(day, np.full(3, day[-1]))) / 5.0)[:samples]
    errors = _overlap(random.binomial(250, 0.002, samples + 3) / 250.0)[:samples]
    latency = 0.08 * (0.8 + 0.2 * day) * np.exp(0.06 * _overlap(random.normal(0, 1.5, samples + 3))[:samples])
    cpu = 0.35 * day * (1 + 0.05 * _overlap(random.normal(0, 1.5, samples + 3))[:samples])
    memory = 2e8 * (1 + 0.004 * random.normal(0, 1, samples) + 0.02 * (day - 1))
    none = np.zeros(samples)
    values = np.stack([rate, errors, latency, cpu, memory, none, none, none + 3], axis=1)
    return Frame(START + index.astype(np.float64) * INTERVAL, values, NAMES, INTERVAL)


def changed(frame: Frame, signal: str, start: int, values: Floats | float, *, factor: bool = False) -> Frame:
    """`frame` with `signal` set (or multiplied) from row `start` on."""
    changed = frame.values.copy()
    column = frame.names.index(signal)
    changed[start:, column] = changed[start:, column] * values if factor else values
    return Frame(frame.times, changed, frame.names, frame.interval)


def _overlap(values: Floats) -> Floats:
    return np.asarray(np.convolve(values, np.full(4, 0.25), mode="valid"), dtype=np.float64)
