"""Swapping thousands of policies under load: how long somebody who decides meanwhile waits, on a real PostgreSQL.

Run by `make bench` and by hand. One thread decides without pause, with what the process holds; another reads the new
set, compiles it and puts it in place. The longest wait before the swap, with nothing else going on, is printed beside
it: on a busy machine that is what the operating system itself makes a thread wait.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aegis.policy.request import Request
from aegis.storage import migrate, policy_apply, safety
from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.policy_set import PolicySet

BAR_MS = 5.0
NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
WINDOW = {"time": {"timezone": "Europe/Berlin", "from": "08:00", "to": "18:00"}}


def documents(count: int, effect: str) -> list[dict[str, Any]]:
    """One namespace each, with a window and a comparison whose value differs."""
    return [
        {
            "apiVersion": "aegis.dev/v1",
            "id": f"p{number}",
            "effect": effect,
            "principals": {"roles": ["sre"]},
            "actions": ["restart_deployment"],
            "resources": [f"deployment/n{number}/*"],
            "conditions": {"all": [WINDOW, {"attr": "context.confidence", "op": "gte", "value": number / 100_000}]},
        }
        for number in range(count)
    ]


@dataclass
class Load:
    """Decides without pause; `waits` are milliseconds per decision, `effects` what it was told by which bundle."""

    held: PolicySet
    request: Request
    waits: list[float] = field(default_factory=list)
    effects: set[tuple[str, str]] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            began = time.perf_counter()
            serving = self.held.held
            assert serving is not None
            decision = serving.bundle.evaluate(self.request)
            self.waits.append((time.perf_counter() - began) * 1000)
            self.effects.add((decision.bundle, decision.effect))

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join()


@contextmanager
def database() -> Iterator[Database]:
    home = Path(tempfile.mkdtemp(prefix="aegis-swap-"))
    home.chmod(0o711)
    try:
        with EmbeddedPostgres(home / "pg", durable=False) as server:
            server.create_database("swap")
            migrate.upgrade(server.url("swap"))
            pool = Database(server.url("swap"))
            yield pool
            pool.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def apply(pool: Database, count: int, effect: str) -> None:
    with pool.begin() as conn:
        safety.ensure(conn, mode="auto", now=NOON)
        policy_apply.apply_set(conn, documents(count, effect), by="bench", comment=effect, now=NOON)


def measure(pool: Database, count: int) -> bool:
    """Print a row; whether the bar is met and no answer came from a mixture."""
    held = PolicySet()
    resource, sure = f"deployment/n{count // 3}/web", {"confidence": 0.9}
    request = Request("ann", ("sre",), "restart_deployment", resource, NOON, context=sure)
    apply(pool, count, "ALLOW")
    with pool.begin() as conn:
        first = held.serving(conn).bundle.digest
    apply(pool, count, "DENY")
    load = Load(held, request)
    with load.running():
        time.sleep(3.0)
        before = len(load.waits)
        began = time.perf_counter()
        with pool.begin() as conn:
            second = held.serving(conn).bundle.digest
        seconds, after = time.perf_counter() - began, len(load.waits)
    quiet, during = sorted(load.waits[:before]), sorted(load.waits[before:after])
    pure = load.effects <= {(first, "allow"), (second, "deny")}
    late = sum(wait > BAR_MS for wait in during)
    print(
        f"{count:>8} {seconds:>8.2f} {len(during):>10} {during[len(during) // 2] * 1000:>9.1f}"
        f" {during[int(len(during) * 0.999)]:>9.3f} {during[-1]:>9.1f} {late:>6} {quiet[-1]:>13.1f}"
        f" {'yes' if pure else 'NO':>5}"
    )
    return pure and during[-1] <= max(BAR_MS, 2 * quiet[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 policies only")
    quick = parser.parse_args().quick
    print(
        f"{'policies':>8} {'swap s':>8} {'decisions':>10} {'median µs':>9} {'p99.9 ms':>9} {'max ms':>9} {'late':>6}",
        end="",
    )
    print(f" {'max before ms':>13} {'pure':>5}")
    with database() as pool:
        met = [measure(pool, count) for count in ((1_000,) if quick else (1_000, 10_000))]
    if not all(met):
        raise SystemExit(
            f"a decision waited for more than {BAR_MS:g} ms, and than twice what this machine makes it wait"
        )


if __name__ == "__main__":
    main()
