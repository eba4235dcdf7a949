"""One policy decision, ours beside its peers: one workload, one run, every answer compared with a brute-force oracle.

Run by `make bench` and by hand. A peer that is not installed is shown so (`requirements/bench.txt` installs them, OPA
is used when an `opa` program is on PATH); a slow one answers fewer questions of the same workload. It exits with 1 and
names every bar that is not met and every engine that was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by its path, it still finds its own package

from benchmarks.peers import workload
from benchmarks.peers.casbin_peer import CasbinDocumented, CasbinFast, CasbinSliced
from benchmarks.peers.cedar_peer import CedarSliced, CedarWhole
from benchmarks.peers.cel_peer import Cel, Cpp, Rust
from benchmarks.peers.engine import Engine
from benchmarks.peers.measure import FEWEST, Row, Task, measure
from benchmarks.peers.opa_peer import Opa, globs, natural, segments
from benchmarks.peers.ours import Ours, OursUnabridged
from benchmarks.peers.vakt_peer import Vakt

OURS, UNABRIDGED = "aegis", "aegis, unabridged"
PEERS: dict[str, Callable[[], Engine]] = {
    "CEL (Rust) on our index": partial(Cel, Rust),
    "CEL (C++) on our index": partial(Cel, Cpp),
    "OPA, natural rules": partial(Opa, natural),
    "OPA, glob-indexed": partial(Opa, globs),
    "OPA, segments apart": partial(Opa, segments),
    "cedarpy, sliced by hand": CedarSliced,
    "cedarpy, whole set": CedarWhole,
    "casbin FastEnforcer": CasbinFast,
    "casbin, sliced by hand": CasbinSliced,
    "casbin, documented ABAC": CasbinDocumented,
    "vakt": Vakt,
}
SIZES = (10, 100, 1_000, 10_000)
QUICK_SIZES = (10, 1_000, 10_000)
LARGEST = 100_000
LIVE, REPLAY = "live", "replay"
LIVE_SPREAD, REPLAY_SPREAD = timedelta(minutes=1), timedelta(days=365)
RATIO_BARS = {
    "OPA, natural rules": 300,
    "OPA, glob-indexed": 40,
    "casbin FastEnforcer": 400,
    "cedarpy, sliced by hand": 80,
}
MEDIAN_US, P99_US, LARGEST_US, REPLAY_US = 3.0, 5.0, 5.0, 15.0
GROWTH, LOAD_SECONDS, MEMORY_MB = 2.5, 0.25, 40.0


@dataclass(frozen=True)
class Effort:
    """How many questions, how often, how many seconds of decisions for one engine at one size, and of everything."""

    questions: int
    passes: int
    seconds: float
    patience: float


QUICK, FULL = Effort(400, 20, 1.0, 60.0), Effort(2_000, 20, 5.0, 120.0)


def run(sizes: Sequence[int], effort: Effort) -> Iterator[Row]:
    slow: dict[str, float] = {}  # an engine's last median, to know before whether the next size can be waited for
    for size in sizes:
        rules = workload.rules(size)
        live = workload.questions(rules, effort.questions, spread=LIVE_SPREAD)
        yield _one(OURS, LIVE, Ours, rules, live, effort)
        yield _one(UNABRIDGED, LIVE, OursUnabridged, rules, live, effort)
        for name, make in PEERS.items():
            growth = size / sizes[max(0, sizes.index(size) - 1)]
            if slow.get(name, 0.0) * growth * FEWEST / 1e6 > 2 * effort.seconds:
                yield Row(name, size, LIVE, "too slow")
                continue
            row = _one(name, LIVE, make, rules, live, effort)
            slow[name] = row.median_us or 0.0
            yield row
    replay = workload.questions(rules, effort.questions, spread=REPLAY_SPREAD)
    yield _one(OURS, REPLAY, Ours, rules, replay, effort)
    rules = workload.rules(LARGEST)
    live = workload.questions(rules, effort.questions, spread=LIVE_SPREAD)
    yield _one(OURS, LIVE, Ours, rules, live, effort)


def _one(
    name: str,
    kind: str,
    make: Callable[[], Engine],
    rules: Sequence[workload.Rule],
    questions: Sequence[workload.Question],
    effort: Effort,
) -> Row:
    return measure(Task(name, kind, make, rules, questions, effort.passes, effort.seconds, effort.patience))


def missed(rows: Sequence[Row]) -> list[str]:
    """Every bar that is not met, in words; a ratio is judged only where the peer ran."""
    by = {(row.engine, row.policies, row.workload): row for row in rows}
    biggest = SIZES[-1]
    ours = by[OURS, biggest, LIVE]
    sentences = [
        f"{row.engine} was wrong {row.wrong} times in {row.answers}: {row.first_wrong}" for row in rows if row.wrong
    ]
    sentences += [f"{row.engine} failed at {row.policies:,} policies" for row in rows if row.state == "failed"]
    figures = [
        (f"the median at {biggest:,} policies", ours.median_us, MEDIAN_US, "µs"),
        (f"the p99 at {biggest:,} policies", ours.p99_us, P99_US, "µs"),
        (f"the median at {LARGEST:,} policies", by[OURS, LARGEST, LIVE].median_us, LARGEST_US, "µs"),
        ("the median at a random time", by[OURS, biggest, REPLAY].median_us, REPLAY_US, "µs"),
        (f"growth from {SIZES[0]} to {biggest:,} policies", _ratio(ours, by[OURS, SIZES[0], LIVE]), GROWTH, "times"),
        (f"load and compile of {biggest:,} policies", ours.load_seconds, LOAD_SECONDS, "s"),
        (f"memory of {biggest:,} policies", ours.memory_mb, MEMORY_MB, "MB"),
    ]
    for what, figure, bar, unit in figures:
        if figure is None or figure > bar:
            sentences.append(f"{what} is {_text(figure, 2)} {unit}, the bar is {bar:g}")
    for name, times in RATIO_BARS.items():
        ratio = _ratio(by[name, biggest, LIVE], ours)
        if ratio is not None and ratio < times:
            sentences.append(f"{name} takes {ratio:.0f} times as long at {biggest:,} policies, the bar is {times}")
    return sentences


def _ratio(one: Row, other: Row) -> float | None:
    if one.median_us is None or other.median_us is None:
        return None
    return one.median_us / other.median_us


def show(rows: Iterator[Row]) -> Iterator[Row]:
    """Print every row as it comes, and hand it on."""
    titles = ("median µs", "p99 µs", "× ours", "load s", "MB", "answers", "wrong", "unknown fact")
    print(f"{'engine':<26}{'policies':>9}" + "".join(f"{title:>13}" for title in titles))
    ours: dict[int, Row] = {}
    for row in rows:
        if row.engine == OURS:
            ours.setdefault(row.policies, row)
        print(_line(row, ours[row.policies]), flush=True)
        yield row
    print("p99: the median of the passes' 99th percentiles; × ours: medians; load s and MB: from the source to ready")
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end: above the cores, all figures are too high"
    )
    print(f"{UNABRIDGED}: every document validated anew, every text of every answer made")
    print("unknown fact: what becomes of a request without the attribute that a DENY compares, where an ALLOW applies")


def _line(row: Row, ours: Row) -> str:
    name = row.engine if row.workload == LIVE else f"{row.engine}, random time"
    if row.state != "measured":
        return f"{name:<26}{row.policies:>9,}{row.state:>16}"
    figures = (_text(row.median_us, 2), _text(row.p99_us, 2), _text(_ratio(row, ours), 1), _text(row.load_seconds, 3))
    counts = (_text(row.memory_mb, 1), f"{row.answers:,}", str(row.wrong), (row.unknown or "").partition(" ")[0])
    return f"{name:<26}{row.policies:>9,}" + "".join(f"{cell:>13}" for cell in (*figures, *counts))


def _text(figure: float | None, digits: int) -> str:
    return "–" if figure is None else f"{figure:,.{digits}f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three sizes, fewer questions, one second per engine")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    measured = run(QUICK_SIZES, QUICK) if options.quick else run(SIZES, FULL)
    rows = list(measured if options.json else show(measured))
    sentences = missed(rows)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "missed": sentences}, indent=2))
    for sentence in sentences:
        print(f"bar not met: {sentence}", file=sys.stderr)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
