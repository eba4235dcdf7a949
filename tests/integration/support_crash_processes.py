"""The five processes of a crash test: how each is wired, what they share, and where one kills itself or others.

Forked from multiprocessing's fork server, which runs no threads; wired like their `process.run`, except that they share
one clock in memory and look again sooner. What they cannot know of each other is only in what `Board` holds.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from aegis.actions.client import ExecutorClient
from aegis.actions.keys import load_hmac_keys, load_signing_key, load_verifying_keys
from aegis.api import app as api
from aegis.api.deps import Deps as ApiDeps
from aegis.api.process import read_vkey
from aegis.cli.keyring import Keyring
from aegis.controller import process as controller_process
from aegis.controller.app import Controller
from aegis.controller.engine import EngineClient
from aegis.controller.loop import Loop, Timing
from aegis.engine import app as engine
from aegis.executor import app as executor
from aegis.executor import process as executor_process
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.database import Database as Journal
from aegis.executor.namespaces import Namespaces
from aegis.executor.settings import Limits
from aegis.kit import crash
from aegis.kit.clock import ManualClock, from_epoch
from aegis.kit.ids import Ids
from aegis.kit.logging import configure_logging
from aegis.kit.serving import BackgroundServer, bind, serve
from aegis.sandbox import server as sandbox_server
from aegis.sandbox.kube import server as kube
from aegis.sandbox.world import Sandbox
from aegis.storage.database import Database
from aegis.storage.policy_set import PolicySet
from aegis.storage.sequencer import Sequencer
from aegis.telemetry.prometheus import PrometheusSource

FOUR = ("engine", "executor", "api", "controller")
PROCESSES = ("sandbox", *FOUR)
NAMESPACE = "tools"  # two workloads that call nobody: a fault of one stays with it
WORKLOAD = "registry"
INTERVAL = 15.0  # seconds between two scrapes
TIMING = Timing(approval=timedelta(minutes=4), quiet=timedelta(seconds=30))
EXECUTOR_USER = "aegis-executor"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one world is: its files, its two databases and its ports."""

    home: Path
    control_url: str
    journal_url: str
    ports: Mapping[str, int]
    models: Path
    history: timedelta = timedelta(hours=1)

    @property
    def keys(self) -> Keyring:
        return Keyring(self.home / "keys")

    @property
    def witness(self) -> Path:
        return self.home / "witness.ndjson"

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def log(self, name: str) -> Path:
        return self.home / f"{name}.log"


@dataclass(frozen=True, slots=True)
class Arm:
    """`process` kills `victims` (itself, when none is named) at each of `points`, which it comes to in this order."""

    process: str
    points: tuple[str, ...]
    victims: tuple[str, ...] = ()

    def deaths(self) -> list[str]:
        return [*(self.victims or (self.process,))] * len(self.points)


class Board:
    """A few numbers in memory that all processes of a world share."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")

    @staticmethod
    def make(path: Path) -> Board:
        path.write_bytes(bytes(mmap.PAGESIZE))
        return Board(path)

    def _cell(self, number: int) -> float:
        return float(self._cells[number])

    @property
    def now(self) -> float:
        return self._cell(0)

    @now.setter
    def now(self, value: float) -> None:
        self._cells[0] = value

    @property
    def looked_at(self) -> float:
        """The newest sample that the controller has looked at."""
        return self._cell(1)

    @looked_at.setter
    def looked_at(self, value: float) -> None:
        self._cells[1] = value

    def pid(self, name: str) -> int:
        return int(self._cell(2 + PROCESSES.index(name)))

    def set_pid(self, name: str, pid: int) -> None:
        self._cells[2 + PROCESSES.index(name)] = pid

    def reached(self, name: str) -> int:
        """How many of its armed points this process has reached, in all its lives."""
        return int(self._cell(16 + PROCESSES.index(name)))

    def count(self, name: str) -> None:
        self._cells[16 + PROCESSES.index(name)] += 1


class SharedClock(ManualClock):
    """The one clock of a world: the sandbox moves it, everybody reads it."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def now(self) -> datetime:
        return from_epoch(self._board.now)

    def monotonic(self) -> float:
        return self._board.now

    def advance(self, seconds: float) -> datetime:
        self._board.now += seconds
        return self.now()


def live(name: str, place: Place, arm: Arm | None) -> None:
    """The whole life of one process; returns when it was asked to end."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: nobody outlives the fork server
    with place.log(name).open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    configure_logging(name, json_lines=True)
    gc.freeze()  # the collector leaves alone what the fork server made, so that its pages stay shared
    board = Board(place.home / "board")
    if arm is not None:
        _Killer(board, arm).arm()
    {"sandbox": _sandbox, "engine": _engine, "executor": _executor, "api": _api, "controller": _controller}[name](
        place, board
    )


class _Killer:
    """Kills at the first point that has not been reached yet; and at the next one, if it was others who died."""

    def __init__(self, board: Board, arm: Arm) -> None:
        self._board, self._arm = board, arm
        self._killed: set[int] = set()

    def arm(self) -> None:
        reached = self._board.reached(self._arm.process)
        crash.arm(self._arm.points[reached] if reached < len(self._arm.points) else "", self._kill)

    def _kill(self) -> None:
        me, victims = self._arm.process, self._arm.victims or (self._arm.process,)
        for victim in victims:
            while self._board.pid(victim) in self._killed:  # its next life has not begun yet
                os.sched_yield()
        self._board.count(me)
        for victim in sorted(victims, key=lambda victim: victim == me):
            self._killed.add(self._board.pid(victim))
            os.kill(self._board.pid(victim), signal.SIGKILL)
        self.arm()


def _sandbox(place: Place, board: Board) -> None:
    sandbox = Sandbox(SharedClock(board), interval=INTERVAL, history=place.history)
    sandbox.cluster.add_user(EXECUTOR_USER, "executor-token", namespaces=[NAMESPACE])
    with BackgroundServer(kube.create_app(sandbox.cluster), port=place.ports["kube"]) as cluster:
        sandbox.cluster.kubeconfig(place.kubeconfig, cluster.url, user=EXECUTOR_USER, token="executor-token")
        serve(sandbox_server.create_app(sandbox), bind("127.0.0.1", place.ports["sandbox"]))


def _source(place: Place) -> PrometheusSource:
    return PrometheusSource(f"{place.url('sandbox')}/prometheus", interval=INTERVAL)


def _engine(place: Place, board: Board) -> None:
    clock = SharedClock(board)
    deps = engine.Deps(_source(place), place.models, clock, Ids(clock), train_apart=False)
    serve(engine.create_app(deps), bind("127.0.0.1", place.ports["engine"]))


def _executor(place: Place, board: Board) -> None:
    journal = Journal(place.journal_url)
    journal.migrate()
    deps = executor.Deps(
        journal,
        KubernetesCluster(place.kubeconfig),
        load_hmac_keys(place.keys.hmac),
        load_verifying_keys([place.keys.decision_public]),
        Namespaces(frozenset({NAMESPACE})),
        Limits(),
        SharedClock(board),
        wait=lambda _seconds: None,
    )
    app = executor.create_app(deps)
    executor_process.RECONCILE_SECONDS = 0.2
    settling = (app.state.reconciler, threading.Event())
    threading.Thread(target=executor_process._settle, args=settling, daemon=True).start()
    serve(app, bind("127.0.0.1", place.ports["executor"]))


def _api(place: Place, board: Board) -> None:
    clock = SharedClock(board)
    database = Database(place.control_url, pool_size=api.CONNECTIONS)
    vkey = read_vkey(place.keys.audit_public)
    app = api.create_app(ApiDeps(database, clock, Ids(clock), place.url("engine"), vkey))
    serve(app, bind("127.0.0.1", place.ports["api"]))


class _Reporting(Controller):
    """Tells the test which sample it has looked at."""

    board: Board

    def sense(self) -> bool:
        fresh = super().sense()
        self.board.looked_at = self.senses.last_sample_at or 0.0
        return fresh


def _controller(place: Place, board: Board) -> None:
    clock, database = SharedClock(board), Database(place.control_url)
    loop = Loop(
        database=database,
        engine=EngineClient(place.url("engine")),
        executor=ExecutorClient(place.url("executor"), load_hmac_keys(place.keys.hmac), clock),
        telemetry=_source(place),
        policies=PolicySet(),
        sequencer=Sequencer.from_files(database, clock, place.keys.audit_private, place.witness),
        decision_key=load_signing_key(place.keys.decision_private),
        clock=clock,
        ids=Ids(clock),
        owner=owner_of(os.getpid()),
        namespaces=(NAMESPACE,),
        timing=TIMING,
    )
    controller, stop = _Reporting(loop), threading.Event()
    controller.board = board
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    pauses = {"SAFETY_EVERY": 0.25, "SEQUENCE_EVERY": 0.05, "BEAT_EVERY": 2.0, "IDLE_POLL": 0.02}
    for pause, seconds in pauses.items():
        setattr(controller_process, pause, seconds)
    with controller_process.run_threads(controller, stop, poll_seconds=0.02):
        stop.wait()
    controller_process.close(controller)


def owner_of(pid: int) -> str:
    """What a controller with this process id calls itself on its leases."""
    return f"controller/{pid}"
