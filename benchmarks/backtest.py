"""How long a backtest takes: recorded decisions, read from PostgreSQL as stored, decided again with other policies.

Run by `make bench` and by hand. It starts a PostgreSQL of its own, records the decisions of a thousand policies there,
and decides them again with a set in which some policies changed. Every flip is counted against a brute-force oracle;
it exits with 1 when one is missing or a bar is not met.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by its path, it still finds its own package

from benchmarks.peers.oracle import Oracle
from benchmarks.peers.ours import document, request
from benchmarks.peers.workload import Question, Rule, questions, rules

from aegis.policy.backtest import backtest
from aegis.policy.compile import compile_bundle
from aegis.policy.replay import Record
from aegis.storage import policy_audit
from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.migrate import upgrade

BAR_SECONDS_PER_MILLION = 20.0
RECORDS, QUICK_RECORDS = 1_000_000, 200_000
POLICIES, DISTINCT = 1_000, 20_000
SPREAD = timedelta(days=30)
BATCH = 10_000  # decisions recorded in one transaction
PIECE = 4_000  # decisions read in one transaction
BAR_WIDTH = 40


@dataclass(frozen=True)
class Result:
    """`read_seconds` is what reading alone takes; `seconds` is the backtest, reading included.

    `cpu_seconds` is what it took of all cores, without the database's share: on a busy machine it says more.
    """

    records: int
    recorded_seconds: float
    read_seconds: float
    seconds: float
    cpu_seconds: float
    decisions_per_second: float
    flips: dict[str, int]
    expected: dict[str, int]
    reported: int

    @property
    def per_million(self) -> float:
        return self.seconds * 1_000_000 / self.records


@contextmanager
def database() -> Iterator[Database]:
    home = Path(tempfile.mkdtemp(prefix="aegis-backtest-"))
    home.chmod(0o711)
    try:
        with EmbeddedPostgres(home / "pg", durable=False) as server:
            server.create_database("aegis")
            upgrade(server.url("aegis"))
            store = Database(server.url("aegis"))
            try:
                yield store
            finally:
                store.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def record(store: Database, of: Sequence[Rule], asked: Sequence[Question], count: int) -> None:
    """`count` decisions on these questions, over and over, recorded as the API records them."""
    bundle = compile_bundle(map(document, of))
    requests = [request(one) for one in asked]
    rows = [policy_audit.evaluation("api", one, bundle.evaluate(one), epoch=1, latency_us=3).row() for one in requests]
    waiting = islice(cycle(rows), count)
    while batch := list(islice(waiting, BATCH)):
        with store.begin() as conn:
            policy_audit.write(conn, batch, at=requests[-1].now)


def records(store: Database) -> Iterator[Record]:
    """Everything recorded, oldest first, with the facts as the JSON text that was stored."""
    everything, last = policy_audit.Filters(), 0
    with store.begin() as conn:
        newest = policy_audit.newest_id(conn)
    while last < newest:
        with store.begin() as conn:
            rows = policy_audit.after(conn, everything, last=last, up_to=newest, limit=PIECE)
        if not rows:
            return
        last = rows[-1].id
        for row in rows:
            yield {"id": row.id, "at": row.at, "facts": row.facts, "effect": row.effect, "code": row.code}


def changed(of: Sequence[Rule]) -> list[Rule]:
    """Some ALLOWs became DENYs, some rules apply to every metadata, some are gone."""
    found = []
    for number, rule in enumerate(of):
        if number % 40 == 0:
            found.append(replace(rule, effect="DENY"))
        elif number % 40 == 1:
            found.append(replace(rule, attribute="risk", op="gte", value=0))
        elif number % 40 != 2:
            found.append(rule)
    return found


def expected(of: Sequence[Rule], asked: Sequence[Question], count: int) -> dict[str, int]:
    """The flips that brute force finds."""
    oracle, flips = Oracle(of), Counter[str]()
    repeats, rest = divmod(count, len(asked))
    for number, one in enumerate(asked):
        now = oracle.allows(one)
        if now is not one.allowed:
            flips["deny_to_allow" if now else "allow_to_deny"] += repeats + (number < rest)
    return dict(sorted(flips.items()))


def measure(count: int, *, quiet: bool) -> Result:
    of = rules(POLICIES)
    asked = sorted(questions(of, DISTINCT, spread=SPREAD), key=lambda one: one.now)
    after = changed(of)
    with database() as store:
        began = time.monotonic()
        record(store, of, asked, count)
        recorded = time.monotonic() - began
        began = time.monotonic()
        found = sum(1 for _ in records(store))
        reading = time.monotonic() - began
        told: list[int] = []

        def progress(done: int) -> None:
            told.append(done)
            if not quiet:
                _draw(done, count)

        before = cpu_seconds()
        report = backtest([document(rule) for rule in after], records(store), progress=progress)
        cpu = cpu_seconds() - before
    assert found == count, f"{found} of {count} decisions were read"
    return Result(
        records=count,
        recorded_seconds=round(recorded, 2),
        read_seconds=round(reading, 2),
        seconds=round(report.seconds, 2),
        cpu_seconds=round(cpu, 2),
        decisions_per_second=round(count / report.seconds),
        flips={str(kind): number for kind, number in sorted(report.flips.items())},
        expected=expected(after, asked, count),
        reported=len(told),
    )


def cpu_seconds() -> float:
    """Of this process and of those of its children that have ended."""
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in usages)


def _draw(done: int, count: int) -> None:
    full = BAR_WIDTH * done // count
    print(f"\r[{'#' * full}{'.' * (BAR_WIDTH - full)}] {done:,} of {count:,}", end="", file=sys.stderr, flush=True)
    if done == count:
        print(file=sys.stderr)


def missed(result: Result) -> list[str]:
    sentences = []
    if result.flips != result.expected:
        sentences.append(f"the flips are {result.flips}, brute force finds {result.expected}")
    if result.per_million > BAR_SECONDS_PER_MILLION:
        took = f"a million decisions take {result.per_million:.1f} s"
        sentences.append(f"{took}, the bar is {BAR_SECONDS_PER_MILLION:g} s")
    if result.reported < 2:
        sentences.append("no progress was shown")
    return sentences


def show(result: Result) -> None:
    titles = ("decisions", "recorded s", "read s", "backtest s", "CPU s", "per second", "progress")
    figures = (result.recorded_seconds, result.read_seconds, result.seconds, result.cpu_seconds)
    cells = (f"{result.records:,}", *(f"{one:.2f}" for one in figures))
    print("".join(f"{title:>12}" for title in titles))
    print("".join(f"{cell:>12}" for cell in (*cells, f"{result.decisions_per_second:,.0f}", str(result.reported))))
    print("flips: " + ", ".join(f"{number:,} {kind}" for kind, number in result.flips.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RECORDS:,} decisions instead of {RECORDS:,}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    result = measure(QUICK_RECORDS if options.quick else RECORDS, quiet=options.json)
    if options.json:
        print(json.dumps(asdict(result), indent=2))
    else:
        show(result)
    for sentence in missed(result):
        print(f"bar not met: {sentence}", file=sys.stderr)
    return 1 if missed(result) else 0


if __name__ == "__main__":
    sys.exit(main())
