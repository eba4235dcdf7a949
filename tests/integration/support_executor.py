"""A real executor for tests: its own PostgreSQL database, the sandbox's Kubernetes API over HTTP, fresh keys.

Ground truth is `ExecutorWorld.effects()`, which asks the sandbox and never the executor.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.integration.support_kube import KubeWorld
from tests.integration.support_postgres import fresh_database as empty_database

from aegis.actions.client import ExecutorClient
from aegis.actions.keys import HmacKeys, SigningKey, signing_key
from aegis.actions.model import Action, ActionKind, ParamValue, Target
from aegis.actions.ticket import canonical_body, mint_decision, sign_request
from aegis.executor import log, safety
from aegis.executor.app import Deps, create_app
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.database import Database
from aegis.executor.namespaces import Namespaces
from aegis.executor.reconcile import Reconciler
from aegis.executor.safety import Safety
from aegis.executor.settings import Limits
from aegis.kit.clock import ManualClock, SystemClock
from aegis.kit.ids import seeded_ids
from aegis.kit.serving import BackgroundServer
from aegis.storage.embedded import EmbeddedPostgres

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MODE = "auto"
UNLIMITED = Limits(per_minute_namespace=10_000, per_minute_total=10_000, max_replica_step=50)


@contextmanager
def fresh_database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A migrated journal of its own."""
    with empty_database(postgres, migrated=False) as url:
        database = Database(url)
        database.migrate()
        try:
            yield database
        finally:
            database.close()


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it goes over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class ExecutorWorld:
    """One executor with everything around it; `executor()` starts further ones on the same journal and cluster."""

    def __init__(
        self, postgres: EmbeddedPostgres, database: Database, kube: KubeWorld, clock: ManualClock, limits: Limits
    ) -> None:
        self._postgres = postgres
        self.database = database
        self.kube = kube
        self.clock = clock
        self.ids = seeded_ids(clock, 11)
        self._private = Ed25519PrivateKey.generate()
        self.key: SigningKey = signing_key(self._private)
        self.hmac = HmacKeys({"now": secrets.token_bytes(32), "before": secrets.token_bytes(32)}, signing="now")
        self.epoch = 1
        self._cluster = KubernetesCluster(kube.kubeconfig, seconds=5.0)
        self.deps = Deps(
            database=database,
            cluster=self._cluster,
            hmac_keys=self.hmac,
            decision_keys=self.key.public(),
            namespaces=Namespaces(frozenset({"shop"})),
            limits=limits,
            clock=clock,
            wait=lambda seconds: None,
        )
        self.http = httpx2.Client(timeout=20.0, trust_env=False)
        self.server = BackgroundServer(create_app(self.deps)).start()
        self.tell()

    def close(self) -> None:
        self.server.stop()
        self.http.close()
        self._cluster.close()

    def restart(self) -> None:
        self.server.stop()
        self.server = BackgroundServer(create_app(self.deps)).start()

    @contextmanager
    def executor(self, **changes: Any) -> Iterator[str]:
        """Another executor, by URL: the same journal, keys and cluster unless `changes` of Deps say otherwise."""
        with BackgroundServer(create_app(replace(self.deps, **changes))) as server:
            yield server.url

    @contextmanager
    def forgetful_executor(self) -> Iterator[str]:
        """An executor whose journal was emptied, by URL."""
        with fresh_database(self._postgres) as empty, self.executor(database=empty) as url:
            yield url

    def public_pem(self) -> bytes:
        """The key that decisions are checked with, as a file for an executor in a process of its own."""
        return self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def database_url(self) -> str:
        return self.database.engine.url.render_as_string(hide_password=False).replace("+psycopg", "", 1)

    def reconcile(self) -> int:
        """Settle what can be settled; how many actions are still open."""
        deps = self.deps
        return Reconciler(deps.database, deps.cluster, deps.limits, deps.clock, wait=deps.wait).run_once()

    def log_verifies(self) -> bool:
        with self.database.begin() as connection:
            return log.check(connection) is None

    def client(self) -> ExecutorClient:
        return ExecutorClient(self.server.url, self.hmac, self.clock)

    def tell(self, *, stopped: bool = False, mode: str = MODE) -> None:
        """A new epoch with this switch and mode."""
        self.epoch += 1
        with self.database.begin() as connection:
            safety.put(connection, Safety(self.epoch, stopped, mode), now=self.clock.now())

    # --- requests -----------------------------------------------------------------------------------------------

    def action(
        self, name: str = "cart", *, kind: ActionKind = ActionKind.RESTART_DEPLOYMENT, **params: ParamValue
    ) -> Action:
        """An action on what the cluster has right now."""
        live = self.kube.deployment(name)
        target = Target("Deployment", "shop", name)
        uid, generation = live["metadata"]["uid"], live["metadata"]["generation"]
        return Action(self.ids.new("rem"), kind, target, uid, generation, params, "aegis")

    def pod_action(self, pod: dict[str, Any]) -> Action:
        """The eviction of one pod."""
        target = Target("Pod", "shop", pod["metadata"]["name"])
        return Action(self.ids.new("rem"), ActionKind.RESTART_POD, target, pod["metadata"]["uid"], 0, {}, "aegis")

    def decide(self, action: Action, **changes: Any) -> str:
        given: dict[str, Any] = {
            "jti": self.ids.new("dec"),
            "now": self.clock.now(),
            "policy": "f" * 64,
            "epoch": self.epoch,
            "approvers": (),
            "mode": MODE,
            "intent": 1,
        }
        key = changes.pop("key", self.key)
        return mint_decision(key, action, **(given | changes))

    def sign(self, body: bytes, *, decision: str = "", method: str = "POST", path: str = "/v1/actions") -> Request:
        headers = sign_request(
            self.hmac,
            method=method,
            path=path,
            body=body,
            decision=decision,
            now=self.clock.now(),
            nonce=secrets.token_urlsafe(24),
        )
        return Request(method, path, headers, body)

    def ticket(self, action: Action, **decision: Any) -> Request:
        return self.sign(canonical_body(action), decision=self.decide(action, **decision))

    def send(self, request: Request, *, url: str | None = None) -> httpx2.Response:
        where = (url or self.server.url) + request.path
        return self.http.request(request.method, where, content=request.body, headers=request.headers)

    def refused(self, request: Request, *, url: str | None = None) -> str:
        """The code of the refusal; fails unless it is a 4xx with an audit entry of its own."""
        before = len(self.refusals())
        response = self.send(request, url=url)
        assert 400 <= response.status_code < 500, (response.status_code, response.text)
        code = str(response.json()["code"])
        assert self.refusals()[before:] == [code]
        return code

    # --- ground truth -------------------------------------------------------------------------------------------

    def effects(self) -> int:
        """How many changes the cluster saw from the executor."""
        return self.kube.effects()

    def refusals(self) -> list[str]:
        """Codes of the refusals in the executor's log, in order."""
        with self.database.begin() as connection:
            found = log.entries(connection, limit=100_000)
        return [entry["data"]["code"] for entry in found if entry["kind"] == "request:refused"]


@contextmanager
def executor_world(
    postgres: EmbeddedPostgres, directory: Path, limits: Limits = UNLIMITED, *, real_time: bool = False
) -> Iterator[ExecutorWorld]:
    """A world on a clock that stands at NOW, or (beside executors in processes of their own) at the present instant."""
    clock = ManualClock(SystemClock().now() if real_time else NOW)
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database(postgres))
        kube = stack.enter_context(KubeWorld(clock.now(), directory))
        world = ExecutorWorld(postgres, database, kube, clock, limits)
        stack.callback(world.close)
        yield world
