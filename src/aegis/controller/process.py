"""`aegis controller`: the loop as an operating-system process with five threads and a graceful end.

sense (new samples), reconcile (due stages, woken by LISTEN), safety (kill switch to the executor), sequence (audit
order and checkpoints) and heartbeat. SIGTERM lets the running stage finish; whatever was cut off is taken up again
from PostgreSQL by the next start.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg
import structlog

from aegis.actions.client import ExecutorClient
from aegis.actions.keys import load_hmac_keys, load_signing_key
from aegis.controller.app import Controller, owner_name
from aegis.controller.engine import EngineClient
from aegis.controller.loop import Loop, Timing
from aegis.controller.settings import ControllerSettings
from aegis.kit.clock import SystemClock
from aegis.kit.errors import AegisError
from aegis.kit.ids import Ids
from aegis.kit.logging import configure_logging
from aegis.storage.database import Channel, Database
from aegis.storage.first_start import seed
from aegis.storage.policy_set import PolicySet
from aegis.storage.sequencer import Sequencer
from aegis.telemetry.prometheus import PrometheusSource

log = structlog.get_logger()
SAFETY_EVERY = 5.0
SEQUENCE_EVERY = 1.0
BEAT_EVERY = 5.0
IDLE_POLL = 1.0


@dataclass(slots=True)
class Threads:
    """Loops that run until `stop` is set; an unexpected error is logged and the loop goes on."""

    stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, name: str, turn: Callable[[], None], rest: Callable[[], None]) -> None:
        def run() -> None:
            while not self.stop.is_set():
                try:
                    turn()
                except AegisError as error:
                    log.warning(f"{name}:failed", code=error.code, detail=error.message)
                except Exception:  # the top of a loop: one bad turn must not end the process
                    log.exception(f"{name}:crashed")
                rest()

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def every(self, seconds: float) -> Callable[[], None]:
        return lambda: _ignore(self.stop.wait(seconds))

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)


class Bell:
    """Rests until PostgreSQL notifies, or for at most `seconds`; reconnects by itself."""

    def __init__(self, database: Database, stop: threading.Event, channel: Channel, seconds: float) -> None:
        self._database, self._stop, self._channel, self._seconds = database, stop, channel, seconds
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def rest(self) -> None:
        if self._stop.is_set():
            return
        try:
            if self._connection is None:
                self._connection = self._database.listen(self._channel)
            for _ in self._connection.notifies(timeout=self._seconds, stop_after=1):
                pass
        except psycopg.Error as error:
            log.warning("listen:lost", channel=self._channel, detail=str(error).strip())
            self.close()
            self._stop.wait(self._seconds)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def build(settings: ControllerSettings) -> Controller:
    """The controller as configured; raises `Invalid` for a missing or weak key."""
    clock = SystemClock()
    database = Database(settings.database_url, application="aegis-controller")
    keys = load_hmac_keys(settings.hmac_paths())
    loop = Loop(
        database=database,
        engine=EngineClient(settings.engine_url),
        executor=ExecutorClient(settings.executor_url, keys, clock),
        telemetry=PrometheusSource(
            settings.prometheus_url, interval=settings.scrape_seconds, token=settings.prometheus_token()
        ),
        policies=PolicySet(),
        sequencer=Sequencer.from_files(database, clock, settings.audit_key_file, settings.witness_file),
        decision_key=load_signing_key(settings.decision_key_file),
        clock=clock,
        ids=Ids(clock),
        owner=owner_name(),
        namespaces=settings.watched(),
        timing=Timing(quiet=timedelta(seconds=settings.quiet_seconds)),
    )
    return Controller(loop)


def run(settings: ControllerSettings) -> None:
    """Run until SIGTERM or SIGINT, then finish the stages at hand."""
    configure_logging("controller")
    controller = build(settings)
    seed(controller.loop.database, now=controller.loop.clock.now())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with run_threads(controller, stop, poll_seconds=settings.poll_seconds):
        log.info("controller:started", owner=controller.loop.owner, namespaces=list(controller.loop.namespaces))
        stop.wait()
    log.info("controller:stopped")
    close(controller)


@contextmanager
def run_threads(controller: Controller, stop: threading.Event, *, poll_seconds: float) -> Iterator[None]:
    """The five loops, running inside the `with`; leaving it sets `stop` and waits for them."""
    threads = Threads(stop)
    database = controller.loop.database
    work = Bell(database, stop, "aegis_work", IDLE_POLL)
    safety_bell = Bell(database, stop, "aegis_safety", SAFETY_EVERY)
    threads.start("safety", lambda: _ignore(controller.push_safety()), safety_bell.rest)
    threads.start("sense", lambda: _ignore(controller.sense()), threads.every(poll_seconds))
    threads.start("reconcile", lambda: _ignore(controller.reconcile(stop.is_set)), work.rest)
    threads.start("sequence", lambda: _ignore(controller.sequence()), threads.every(SEQUENCE_EVERY))
    threads.start("heartbeat", controller.beat, threads.every(BEAT_EVERY))
    try:
        yield
    finally:
        stop.set()
        threads.join()
        work.close()
        safety_bell.close()


def close(controller: Controller) -> None:
    """A last checkpoint, then every connection."""
    try:
        controller.loop.sequencer.checkpoint()
    except AegisError as error:
        log.warning("audit:last_checkpoint_failed", code=error.code, detail=error.message)
    controller.loop.engine.close()
    controller.loop.executor.close()
    controller.loop.telemetry.close()
    controller.loop.database.close()


def _ignore(_: object) -> None:
    """A turn's result matters to tests, not to its thread."""
