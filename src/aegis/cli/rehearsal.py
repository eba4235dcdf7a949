"""The whole system in one process on a clock that its owner moves: for the scripted tour and the tests of the loop.

PostgreSQL, keys, sandbox cluster, engine, executor and API are the real ones and talk over real HTTP; only time is
handed in, so that half an hour of incidents passes in seconds and the same seed gives the same story.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aegis.actions.client import ExecutorClient
from aegis.actions.keys import load_hmac_keys, load_signing_key, load_verifying_keys
from aegis.api import app as api
from aegis.api.deps import Deps as ApiDeps
from aegis.api.process import read_vkey
from aegis.cli.keyring import Keyring
from aegis.controller.app import Controller
from aegis.controller.engine import EngineClient
from aegis.controller.loop import Loop, Timing
from aegis.engine import app as engine
from aegis.executor import app as executor
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.database import Database as Journal
from aegis.executor.namespaces import Namespaces
from aegis.executor.settings import Limits
from aegis.kit.clock import ManualClock
from aegis.kit.errors import Unavailable
from aegis.kit.ids import Ids
from aegis.kit.serving import BackgroundServer, Tls
from aegis.sandbox import server as sandbox_server
from aegis.sandbox.kube import certificate
from aegis.sandbox.kube import server as kube
from aegis.sandbox.world import Sandbox
from aegis.storage import migrate
from aegis.storage.database import Database
from aegis.storage.first_start import seed
from aegis.storage.policy_set import PolicySet
from aegis.storage.safety import Mode
from aegis.storage.sequencer import Sequencer
from aegis.telemetry.prometheus import PrometheusSource

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
NAMESPACES = ("shop", "batch")
LEARN_SECONDS = 6 * 3600.0
# Real seconds. A busy machine answers late, and a rehearsal waits: skipping a sample would tell another story.
PATIENCE_SECONDS = 60.0
# One action after the other is what a story needs; the executor's own minute limits are tested elsewhere.
LIMITS = Limits(per_minute_namespace=60, per_minute_total=200)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to rehearse: `history` is the ordinary past that models learn from, `batch` counts quiet workloads.

    `interval` is seconds between two scrapes; the rarer, the quicker a simulated hour passes.
    """

    seed: int = 7
    start: datetime = NOON
    interval: float = 5.0
    history: timedelta = timedelta(hours=6)
    mode: Mode = "approve"
    batch: int = 0
    timing: Timing = field(default_factory=Timing)


@dataclass
class SeededIds(Ids):
    """Ids that repeat under a seed, kind by kind: a browser beside the rehearsal renames nothing that is told."""

    seed: int = 0
    _sources: dict[str, random.Random] = field(default_factory=dict)

    def new(self, kind: str) -> str:
        source = self._sources.setdefault(kind, random.Random(f"{self.seed}/{kind}"))
        return Ids(self.clock, lambda: source.getrandbits(80)).new(kind)


class Rehearsal:
    """`with Rehearsal(home, control_url, executor_url) as system: system.advance(60)`.

    `home` is an empty directory; the two databases are empty ones. `close()` it, or use it in a `with`.
    """

    def __init__(self, home: Path, control_url: str, executor_url: str, plan: Plan | None = None) -> None:
        self.plan = plan or Plan()
        self.home = home
        self.control_url = control_url
        self.clock = ManualClock(self.plan.start)
        self.ids = SeededIds(self.clock, seed=self.plan.seed)
        self.keys = Keyring(home / "keys")
        self.witness = home / "witness.ndjson"
        self.first_admin_token = secrets.token_urlsafe(24)
        self.api_url: str | None = None
        self._stack = ExitStack()
        try:
            self._start(executor_url)
        except BaseException:
            self._stack.close()
            raise

    def _start(self, executor_url: str) -> None:
        self.keys.generate()
        migrate.upgrade(self.control_url)
        self.database = Database(self.control_url)
        self._stack.callback(self.database.close)
        seed(self.database, now=self.clock.now(), mode=self.plan.mode, sandbox=True)
        self.sandbox, prometheus, kubeconfig = self._world()
        self.source = PrometheusSource(prometheus, interval=self.sandbox.interval)
        self._stack.callback(self.source.close)
        eyes = engine.create_app(
            engine.Deps(self.source, self.home / "models", self.clock, self.ids, train_apart=False)
        )
        self._watch = eyes.state.watch
        self.engine_url = self._serve(eyes)
        self.executor_url = self._serve(self._executor(executor_url, kubeconfig))
        self.controller = Controller(self._loop())
        self._stack.callback(self._close_clients)

    def _world(self) -> tuple[Sandbox, str, Path]:
        plan = self.plan
        sandbox = Sandbox(self.clock, seed=plan.seed, interval=plan.interval, history=plan.history)
        if plan.batch:
            sandbox.add_workloads("batch", plan.batch)
        made = certificate.ensure(self.home)
        url = self._serve(kube.create_app(sandbox.cluster), Tls(made.certificate, made.key))
        for user, namespaces in (("admin", None), ("aegis-executor", list(NAMESPACES))):
            sandbox.cluster.add_user(user, f"{user}-token", namespaces=namespaces)
            sandbox.cluster.kubeconfig(
                self.home / f"{user}.kubeconfig",
                url,
                user=user,
                token=f"{user}-token",
                namespace="shop",
                authority=made.pem,
            )
        self.sandbox_url = self._serve(sandbox_server.create_app(sandbox))
        return sandbox, f"{self.sandbox_url}/prometheus", self.home / "aegis-executor.kubeconfig"

    def _executor(self, url: str, kubeconfig: Path) -> Any:
        journal = Journal(url)
        self._stack.callback(journal.close)
        journal.migrate()
        cluster = KubernetesCluster(kubeconfig, seconds=PATIENCE_SECONDS)
        self._stack.callback(cluster.close)
        deps = executor.Deps(
            journal,
            cluster,
            load_hmac_keys(self.keys.hmac),
            load_verifying_keys([self.keys.decision_public]),
            Namespaces(frozenset(NAMESPACES)),
            LIMITS,
            self.clock,
            wait=lambda _seconds: None,
        )
        return executor.create_app(deps)

    def _loop(self) -> Loop:
        return Loop(
            database=self.database,
            engine=EngineClient(self.engine_url, seconds=PATIENCE_SECONDS),
            executor=ExecutorClient(
                self.executor_url, load_hmac_keys(self.keys.hmac), self.clock, seconds=PATIENCE_SECONDS
            ),
            telemetry=self.source,
            policies=PolicySet(),
            sequencer=Sequencer.from_files(self.database, self.clock, self.keys.audit_private, self.witness),
            decision_key=load_signing_key(self.keys.decision_private),
            clock=self.clock,
            ids=self.ids,
            owner="rehearsal",
            namespaces=NAMESPACES,
            timing=self.plan.timing,
        )

    def _serve(self, app: Any, tls: Tls | None = None) -> str:
        return self._stack.enter_context(BackgroundServer(app, tls=tls)).url

    def _close_clients(self) -> None:
        self.controller.loop.engine.close()
        self.controller.loop.executor.close()

    def open_api(self, port: int = 0) -> str:
        """Serve API and web page too; returns the address. The first admin needs `first_admin_token`."""
        token = self.home / "bootstrap-token"
        token.touch(mode=0o600)
        token.write_text(self.first_admin_token)
        database = Database(self.control_url, pool_size=api.CONNECTIONS, application="rehearsal-api")
        self._stack.callback(database.close)
        app = api.create_app(
            ApiDeps(
                database=database,
                clock=self.clock,
                ids=self.ids,
                engine_url=self.engine_url,
                audit_vkey=read_vkey(self.keys.audit_public),
                bootstrap_token_file=token,
                sandbox=True,
            )
        )
        server = self._stack.enter_context(BackgroundServer(app, port=port, on_leave=app.state.live.leave))
        self.api_url = server.url
        self.controller.beat()
        return server.url

    def train(self, namespace: str) -> None:
        """Learn the namespace's past now; without it the first look does so. Raises `Unavailable`."""
        job = self._watch.train([namespace], LEARN_SECONDS, None)
        if job.state != "done" or job.failed:
            raise Unavailable(
                "training_failed", f"{namespace} was not learned: {'; '.join(job.failed) or job.message}."
            )

    @property
    def learned(self) -> int:
        """How many workloads have a model so far."""
        return len(self._watch.registry.versions())

    # --- time ----------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Let the loop work until it has nothing more to do at this instant."""
        while self.controller.turn():
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass, scrape by scrape, with the loop looking at each."""
        interval = self.sandbox.interval
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < end:
            self.sandbox.advance(min(interval, (end - self.clock.now()).total_seconds()))
            self.turn()
            if self.api_url is not None:  # somebody may look at how the processes are
                self.controller.beat()

    def until(self, done: Callable[[], bool], *, within: float) -> bool:
        """Let time pass until `done()`; False when it is not within so many seconds."""
        end = self.clock.now() + timedelta(seconds=within)
        while not done():
            if self.clock.now() >= end:
                return False
            self.advance(self.sandbox.interval)
        return True

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Rehearsal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
