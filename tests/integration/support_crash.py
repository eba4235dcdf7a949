"""A whole Aegis in processes that really die, on a clock that tests move: `with world(...) as made: made.start(...)`.

`World` starts the processes, starts again what was killed, and lets time pass step by step, each time until the loop
has nothing more to do. It never sleeps for a fixed time and asks no process how it is: it looks at PostgreSQL and at
who has died.
"""

from __future__ import annotations

import multiprocessing
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from tests.integration.support_crash_processes import (
    EXECUTOR_USER,
    INTERVAL,
    NAMESPACE,
    PROCESSES,
    Arm,
    Board,
    Place,
    live,
    owner_of,
)
from tests.integration.support_postgres import fresh_database

from aegis.identity.credentials import digest, new_token
from aegis.kit.clock import from_epoch, to_epoch
from aegis.storage import sessions, users
from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.first_start import seed
from aegis.storage.safety import Mode

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
STEP = 2 * INTERVAL  # simulated seconds between two looks of the test
PATIENCE = 60.0  # real seconds for one instant of simulated time, on however busy a machine
LAST_MOMENTS = 10.0  # real seconds between what others can see of a commit and the death right after it
PAUSE = 0.004

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.integration.support_crash_processes"])


class World:
    """Five processes and the people around them; `deaths` names everybody who was killed, in the order of finding it.

    Whoever dies first stays dead for `away` seconds of simulated time.
    """

    def __init__(self, place: Place, arms: Sequence[Arm], *, away: float = 0.0) -> None:
        self.place = place
        self.board = Board.make(place.home / "board")
        self.board.now = to_epoch(NOON)
        self.away = away
        self.deaths: list[str] = []
        self.arms = {arm.process: arm for arm in arms}
        self._children: dict[str, ForkServerProcess] = {}
        self._http = httpx2.Client(trust_env=False, timeout=30)
        self._database = psycopg.connect(place.control_url, autocommit=True)

    def start(self, mode: Mode) -> None:
        self.place.keys.generate()
        database = Database(self.place.control_url)
        seed(database, now=NOON, mode=mode, sandbox=True)
        self._people = {name: _person(database, name) for name in ("operator", "approver")}
        database.close()
        self.spawn("sandbox")
        self.spawn("engine")
        self.spawn("api")
        self._until_answering("sandbox")
        self.spawn("executor")
        for name in ("engine", "executor", "api"):
            self._until_answering(name)
        self.spawn("controller")
        self.settle()

    def train(self) -> None:
        """Start only what learning needs, and have it learn on the engine's own thread."""
        for name in ("sandbox", "engine"):
            self.spawn(name)
            self._until_answering(name)
        done = self._http.post(
            f"{self.place.url('engine')}/api/v1/train", json={"namespaces": [NAMESPACE]}, timeout=120
        )
        assert done.status_code == 202, done.text

    def spawn(self, name: str) -> None:
        if name == "controller":
            self.board.looked_at = 0.0  # what the one before has seen says nothing about this one
        arguments = (name, self.place, self.arms.get(name))
        child = _FORKS.Process(target=live, args=arguments, name=name, daemon=True)
        child.start()
        self._children[name] = child
        self.board.set_pid(name, child.pid or 0)

    def _until_answering(self, name: str) -> None:
        child = self._children[name]

        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.place.ports[name])) == 0 or not child.is_alive()

        self._until(answers, f"{name} does not answer")

    def _until(self, done: Callable[[], bool], why_not: str, *, patience: float = PATIENCE) -> None:
        """Until `done()`, looking again after a moment or as soon as somebody dies."""
        ends = time.monotonic() + patience
        while not done():
            assert time.monotonic() < ends, f"{why_not}\n{self.told()}"
            wait([child.sentinel for child in self._children.values()], timeout=PAUSE)

    # --- time --------------------------------------------------------------------------------------------------------

    def advance(self, seconds: float = STEP) -> None:
        """Let time pass, and everybody do what there is to do at the new instant."""
        self._pass(seconds)
        self.settle()

    def _pass(self, seconds: float) -> None:
        self.sandbox("POST", "/sandbox/clock/advance", {"seconds": seconds})

    def settle(self) -> None:
        """Until the newest sample was looked at and no stage is due or under way; who died is started again."""
        newest = datetime.fromisoformat(self.sandbox("GET", "/sandbox/state")["newest_sample"])

        def quiet() -> bool:
            return not self._revived() and self.board.looked_at >= to_epoch(newest) and not self._busy()

        self._until(quiet, "the loop does not come to rest")

    def _busy(self) -> bool:
        due = "due_at <= %(now)s AND (lease_until IS NULL OR lease_until <= %(now)s)"
        known = {"now": from_epoch(self.board.now), "owner": owner_of(self.board.pid("controller"))}
        return bool(self.rows(f"SELECT 1 FROM remediations WHERE lease_owner = %(owner)s OR {due}", known))

    def _revived(self) -> bool:
        """Whether somebody had died; he has been started again, unarmed, after `away` seconds."""
        dead = [name for name, child in self._children.items() if not child.is_alive()]
        for name in dead:
            assert self._children[name].exitcode == -signal.SIGKILL, f"{name} died by itself\n{self.told()}"
            self.deaths.append(name)
        if dead and self.away:
            self._pass(self.away)
            self.away = 0.0
        for name in dead:
            self.spawn(name)
        for name in dead:
            if name != "controller":
                self._until_answering(name)
        return bool(dead)

    def bury(self) -> None:
        """Fails unless everybody who was to be killed at a point was, and nobody else; a point tests nothing else."""

        def all_dead() -> bool:
            return not self._revived() and self._reached_all() and len(self.deaths) >= len(planned)

        planned = [name for arm in self.arms.values() for name in arm.deaths()]
        self._until(all_dead, "a point was never reached", patience=LAST_MOMENTS)
        assert sorted(self.deaths) == sorted(planned), self.told()
        self.settle()

    def _reached_all(self) -> bool:
        return all(self.board.reached(arm.process) == len(arm.points) for arm in self.arms.values())

    # --- looking -----------------------------------------------------------------------------------------------------

    def rows(self, query: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._database.execute(query, values).fetchall()

    def effects(self) -> list[dict[str, Any]]:
        """What the cluster saw changed by the executor: ground truth."""
        found = self.sandbox("GET", "/sandbox/effects")["items"]
        return [effect for effect in found if effect["changed"] and effect["user"] == EXECUTOR_USER]

    def told(self) -> str:
        """What happened so far and the last words of everybody, for a failure's message."""
        history = self.rows("SELECT remediation_id, at, state, reason FROM remediation_history ORDER BY id")
        told = self.rows("SELECT id, state, due_at, lease_owner, lease_until, last_error FROM remediations")
        about = self.rows("SELECT entity, state, failure_class, opened_at FROM incidents")
        logs = [f"{name}:\n" + "\n".join(_tail(self.place.log(name))) for name in self._children]
        lines = [str(row) for row in (*history, *told, *about, ("deaths", self.deaths))]
        return "\n".join([*lines, f"now {from_epoch(self.board.now)}", *logs])

    # --- people ------------------------------------------------------------------------------------------------------

    def sandbox(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._http.request(method, self.place.url("sandbox") + path, json=body)
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, who: str, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response | None:
        """A person's request to the API; None when it died over it."""
        headers = {"Authorization": f"Bearer {self._people[who]}"}
        try:
            return self._http.request(method, f"{self.place.url('api')}/api/v1{path}", json=body, headers=headers)
        except httpx2.TransportError:
            return None

    # --- the end -----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask the controller to end, which signs a last checkpoint; the others have nothing to finish."""
        controller = self._children["controller"]
        controller.terminate()
        controller.join(PATIENCE)
        assert controller.exitcode == 0, self.told()

    def close(self) -> None:
        for child in self._children.values():
            child.kill()
            child.join()
            child.close()
        self._http.close()
        self._database.close()


def _person(database: Database, role: str) -> str:
    token, email = new_token(), f"{role}@example.org"
    with database.begin() as conn:
        users.create(conn, email=email, password_hash="nobody's", roles=[role], by="test", now=NOON)
        sessions.make_token(conn, email, digest(token), name="test", now=NOON)
    return token


def _tail(path: Path) -> list[str]:
    return [line[:400] for line in path.read_text(errors="replace").splitlines()[-12:]] if path.exists() else []


@contextmanager
def world(
    postgres: EmbeddedPostgres, home: Path, models: Path, arms: Sequence[Arm], *, away: float = 0.0, **place: Any
) -> Iterator[World]:
    """A world with two fresh databases, not started yet."""
    with ExitStack() as stack:
        control = stack.enter_context(fresh_database(postgres))
        journal = stack.enter_context(fresh_database(postgres, migrated=False))
        ports = {name: stack.enter_context(_reserved()) for name in ("kube", *PROCESSES)}
        made = World(Place(home, control, journal, ports, models, **place), arms, away=away)
        stack.callback(made.close)
        yield made


@contextmanager
def _reserved() -> Iterator[int]:
    """A port that stays ours while the process that listens on it is dead: bound here, listened on there."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="module")
def models(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of both workloads, trained once by an engine of its own on four quiet hours."""
    home = tmp_path_factory.mktemp("training")
    with world(postgres, home, home / "models", [], history=timedelta(hours=4)) as made:
        made.train()
    return home / "models"
