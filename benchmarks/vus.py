"""VUS-PR, the volume under the range-based precision-recall surface, as the TSB-AD benchmark computes it.

`benchmarks/detection.py` ranks detectors with it (Paparrizos et al., PVLDB 2022; 250 thresholds, the "opt" variant).
It never adjusts scores to labels: no point adjustment, no threshold tuned on the test set.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Segments = list[tuple[int, int]]


def vus_pr(labels: NDArray[np.integer], score: Floats, window: int, thresholds: int = 250) -> float:
    """Average over buffer widths 0..`window` of the range-based average precision; labels 0/1, both of length n."""
    truth = labels.astype(np.float64)
    segments = _segments(labels)
    if not segments:
        raise ValueError("VUS-PR needs at least one labelled anomaly")
    order = np.argsort(-score, kind="stable")
    descending = score[order]
    levels = descending[np.linspace(0, len(score) - 1, thresholds).astype(int)]
    flagged = np.searchsorted(-descending, -levels, side="right")  # how many samples score at least the level
    areas = [_area(truth, segments, score, order, levels, flagged, width) for width in range(window + 1)]
    return float(np.mean(areas))


def period(values: Floats) -> int:
    """The buffer width: the strongest local maximum of the autocorrelation between 6 and 303, else 125."""
    part = values[:20000] - values[:20000].mean()
    variance = float(part @ part)
    if variance == 0 or len(part) < 10:
        return 125
    size = 1 << (2 * len(part) - 1).bit_length()
    spectrum = np.fft.rfft(part, size)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size)[:401][: len(part)] / variance
    tail = correlation[3:]
    peaks = np.flatnonzero((tail[1:-1] > tail[:-2]) & (tail[1:-1] > tail[2:])) + 1
    if len(peaks) == 0:
        return 125
    best = int(peaks[np.argmax(tail[peaks])])
    return 125 if best < 3 or best > 300 else best + 3


def _area(
    truth: Floats,
    segments: Segments,
    score: Floats,
    order: NDArray[np.intp],
    levels: Floats,
    flagged: NDArray[np.intp],
    width: int,
) -> float:
    """Range-based average precision with soft labels `width` wide around every anomaly."""
    soft = _soften(truth, segments, width)
    positives = truth.sum()
    hits = np.cumsum(soft[order])[flagged - 1]
    wanted = (2 * positives + np.cumsum((soft - truth)[order])[flagged - 1]) / 2
    widened = _widen(segments, width, len(truth))
    best = np.array([score[start : stop + 1].max() for start, stop in widened])
    existence = (best[None, :] >= levels[:, None]).mean(axis=1)
    recall = np.concatenate([[0.0], np.minimum(hits / wanted, 1.0) * existence])
    return float(np.diff(recall) @ (hits / flagged))


def _segments(labels: NDArray[np.integer]) -> Segments:
    edges = np.diff(np.concatenate([[0], (labels > 0).astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True))


def _soften(truth: Floats, segments: Segments, width: int) -> Floats:
    soft = truth.copy()
    for start, stop in segments:
        after = np.arange(stop + 1, min(stop + width // 2 + 1, len(truth)))
        before = np.arange(max(start - width // 2, 0), start)
        if len(after):
            soft[after] += np.sqrt(1 - (after - stop) / width)
        if len(before):
            soft[before] += np.sqrt(1 - (start - before) / width)
    return np.minimum(soft, 1.0)


def _widen(segments: Segments, width: int, length: int) -> Segments:
    """Segments grown by half the width; those that meet become one."""
    half = width // 2
    widened: Segments = []
    first = max(segments[0][0] - half, 0)
    for (_, stop), (start, _) in pairwise(segments):
        if stop + half < start - half:
            widened.append((first, stop + half))
            first = start - half
    widened.append((first, min(segments[-1][1] + half, length - 1)))
    return widened
