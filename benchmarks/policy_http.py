"""Decisions over HTTP, every one of them durably on record: one worker process on one core, PostgreSQL with fsync.

Run by `make bench` and by hand, beside OPA's server when an `opa` program is on PATH, on the same core in the same run.
Every answer is compared with a brute-force oracle. It exits with 1 and names every bar that is not met; a bar beside a
peer that is not installed is shown as not measurable.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by its path, it still finds its own package

from benchmarks.peers import workload
from benchmarks.peers.engine import NotInstalled
from benchmarks.peers.http_client import Load, Sent, ceiling, cores, load, post
from benchmarks.peers.in_process import batches
from benchmarks.peers.opa_peer import Opa, globs, natural, segments
from benchmarks.peers.ours import document

from aegis.identity.credentials import digest, new_token
from aegis.storage import policy_apply, safety, sessions, users
from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.first_start import seed
from aegis.storage.migrate import upgrade

POLICIES, DISTINCT, BATCH = 1_000, 2_000, 500
SECONDS, QUICK_SECONDS = 10.0, 3.0
CLIENTS, BATCH_CLIENTS = 256, 8
EVALUATE, EVALUATE_BATCH = "/api/v1/policies/evaluate", "/api/v1/policies/evaluate/batch"
TIMES_OPA, BATCH_BAR = 3.0, 250_000.0
FRESH, REPEATED = "aegis, each question new", "aegis, questions asked again"
IN_PROCESS = ", batches in process, a CPU second"
OPA = {"OPA, natural rules": natural, "OPA, glob-indexed": globs, "OPA, segments": segments}


@dataclass(frozen=True)
class Row:
    """`per_second` counts decisions. A row without figures says in `state` why."""

    name: str
    state: str
    per_second: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    wrong: int = 0


def body(question: workload.Question, user: str | None = None) -> bytes:
    asked = {
        "principal": {"id": user or question.user, "roles": list(question.roles)},
        "action": question.action,
        "resource": question.resource,
        "metadata": question.metadata,
    }
    return json.dumps(asked, separators=(",", ":")).encode()


def singles(asked: Sequence[workload.Question], token: str, *, fresh: bool) -> Iterator[Sent]:
    """Without end: the questions in turn, or each time as somebody else's."""
    numbers = count()
    written = [post(EVALUATE, body(one), token) for one in asked]
    wanted = [b'"effect":"allow"' if one.allowed else b'"effect":"deny"' for one in asked]
    for place in cycle(range(len(asked))):
        request = post(EVALUATE, body(asked[place], f"somebody-{next(numbers)}"), token) if fresh else written[place]
        yield request, wanted[place]


def in_batches(asked: Sequence[workload.Question], token: str, *, fresh: bool) -> Iterator[Sent]:
    numbers = count()
    pieces = [asked[at : at + BATCH] for at in range(0, len(asked) - BATCH + 1, BATCH)]
    for piece in cycle(pieces):
        written = [body(one, f"somebody-{next(numbers)}" if fresh else None) for one in piece]
        yield post(EVALUATE_BATCH, b'{"requests":[' + b",".join(written) + b"]}", token), b'"effect"'


@contextmanager
def worker(rules: Sequence[workload.Rule], core: str) -> Iterator[tuple[int, str]]:
    """A running API with these policies in force, and the token of somebody who may ask: its port first."""
    home = Path(tempfile.mkdtemp(prefix="aegis-policy-http-"))
    home.chmod(0o711)
    try:
        with EmbeddedPostgres(home / "pg") as server:
            server.create_database("aegis")
            upgrade(server.url("aegis"))
            token = _prepared(server.url("aegis"), rules)
            program = Path(__file__).parent / "peers" / "http_worker.py"
            process = subprocess.Popen([sys.executable, program, server.url("aegis"), core], stdout=subprocess.PIPE)
            try:
                assert process.stdout is not None
                yield int(process.stdout.readline()), token
            finally:
                process.terminate()
                process.wait(30)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _prepared(url: str, rules: Sequence[workload.Rule]) -> str:
    store, token, now = Database(url), new_token(), datetime.now(UTC)
    seed(store, now=now)
    with store.begin() as conn:
        safety.ensure(conn, mode="approve", now=now)
        policy_apply.apply_set(conn, [document(rule) for rule in rules], by="bench", comment="", now=now)
        users.create(conn, email="bench@example.org", password_hash="none", roles=["operator"], by="bench", now=now)
        later = max(now, workload.NOON)
        sessions.make_token(conn, "bench@example.org", digest(token), name="bench", now=later)
    store.close()
    return token


def measured(name: str, found: Load, decisions: int = 1) -> Row:
    return Row(
        name, "ok", found.per_second * decisions, found.quantile(0.5), found.quantile(0.99), wrong=len(found.wrong)
    )


def run(seconds: float) -> Iterator[Row]:
    core, rest = cores()
    os.sched_setaffinity(0, rest)
    rules = workload.rules(POLICIES)
    asked = workload.questions(rules, DISTINCT, spread=timedelta(minutes=1))
    most = ceiling(singles(asked, "t" * 53, fresh=True), clients=CLIENTS, seconds=seconds / 2, core=core)
    yield Row("the clients alone, at a server that does nothing", "ok", most)
    with worker(rules, core) as (port, token):
        for name, fresh in ((FRESH, True), (REPEATED, False)):
            found = load(port, singles(asked, token, fresh=fresh), clients=CLIENTS, seconds=seconds, warm_up=2.0)
            yield measured(name, found)
        for name, fresh in ((FRESH, True), (REPEATED, False)):
            found = load(port, in_batches(asked, token, fresh=fresh), clients=BATCH_CLIENTS, seconds=seconds)
            yield measured(f"{name}, batches of {BATCH}", found, BATCH)
    for name, fresh in ((FRESH, True), (REPEATED, False)):
        yield Row(
            f"{name}, batches in process, a CPU second",
            "ok",
            asyncio.run(batches(rules, asked, seconds / 2, fresh=fresh)),
        )
    for name, form in OPA.items():
        yield _opa(name, form, rules, asked, seconds, core, rest)


def _opa(name: str, form: Any, rules: Any, asked: Any, seconds: float, core: str, rest: set[int]) -> Row:
    """Its server starts on the worker's core and stays there."""
    try:
        peer = Opa(form)
    except NotInstalled:
        return Row(name, "not installed")
    try:
        os.sched_setaffinity(0, {int(core)} if core else rest)
        peer.load(peer.source(rules))
        os.sched_setaffinity(0, rest)
        wanted = [b'"result":true' if one.allowed else b'"result":false' for one in asked]
        written = [post("/v1/data/bench/allow", peer.ask(one)) for one in asked]
        sent = cycle(zip(written, wanted, strict=True))
        return measured(name, load(peer.port, sent, clients=CLIENTS, seconds=seconds))
    finally:
        os.sched_setaffinity(0, rest)
        peer.close()


def missed(rows: Sequence[Row]) -> list[str]:
    """Every bar that is not met, in words."""
    by = {row.name: row for row in rows}
    sentences = [f"{row.name}: {row.wrong} answers were wrong" for row in rows if row.wrong]
    peers = [by[name].per_second for name in OPA if by[name].per_second is not None]
    ours = by[FRESH].per_second or 0.0
    best = max((one for one in peers if one is not None), default=None)
    if best is not None and ours < TIMES_OPA * best:
        sentences.append(f"{ours / best:.1f} times OPA's best, the bar is {TIMES_OPA:g}")
    batch = by[f"{REPEATED}{IN_PROCESS}"].per_second or 0.0
    if batch < BATCH_BAR:
        sentences.append(f"{batch:,.0f} decisions a CPU second in batches in one process, the bar is {BATCH_BAR:,.0f}")
    return sentences


def show(rows: Iterator[Row]) -> Iterator[Row]:
    print(f"{'':<66}{'decisions/s':>14}{'p50 ms':>10}{'p99 ms':>10}{'wrong':>8}")
    for row in rows:
        cells = [_text(row.per_second, 0), _text(row.p50_ms, 1), _text(row.p99_ms, 1)]
        figures = row.state if row.per_second is None else f"{cells[0]:>14}{cells[1]:>10}{cells[2]:>10}{row.wrong:>8}"
        print(f"{row.name:<66}{figures}", flush=True)
        yield row


def _text(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three seconds for each row instead of ten")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    options = parser.parse_args()
    began = time.monotonic()
    found = run(QUICK_SECONDS if options.quick else SECONDS)
    rows = list(found if options.json else show(found))
    sentences = missed(rows)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "missed": sentences}))
        return 1 if sentences else 0
    if all(row.state != "ok" for row in rows if row.name in OPA):
        print(f"the bar of {TIMES_OPA:g} times OPA's best rules is not measurable here: there is no opa on PATH")
    print(f"{time.monotonic() - began:.0f} s; bars not met: {'; '.join(sentences) or 'none'}")
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
