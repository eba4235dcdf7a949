"""A real API over HTTP on a migrated database, people who are logged in, and rows as the loop would write them.

Use the fixtures with `from tests.integration.support_api import api, ...` next to those of `support_postgres`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integration.support_postgres import fresh_database

from aegis.actions.model import ActionKind, Target
from aegis.api.app import create_app
from aegis.api.deps import V1, Deps
from aegis.identity.credentials import digest, new_token
from aegis.identity.permissions import ROLES
from aegis.kit.clock import ManualClock
from aegis.kit.ids import Ids
from aegis.kit.serving import BackgroundServer
from aegis.remediation.states import State
from aegis.storage import incidents, remediations, sessions, users
from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.incidents import Incident, Sighting
from aegis.storage.remediations import SYSTEM, NewRemediation, Remediation

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "kettle river moss"
TOKEN = "the one-time token of this test"
VKEY = "aegis-audit/5f0c5f0c5f0c5f0c+00000000+" + "A" * 44
PLAN = {
    "uid": "u-1",
    "generation": 3,
    "resource_version": "41",
    "before": {"replicas": 2},
    "after": {"replicas": 3},
    "diff": [{"op": "replace", "path": "/spec/replicas", "from": 2, "to": 3}],
    "inverse": {"action": "scale_deployment", "params": {"replicas": 2}},
    "reversible": True,
    "blast_radius": {"pods": 3},
    "facts": {},
    "no_op": False,
    "warnings": [],
}
DIGEST = "d" * 64


@dataclass
class Api:
    """A running API; `as_(…)` gives a client of somebody, `rows` writes what the loop would."""

    url: str
    database: Database
    clock: ManualClock
    ids: Ids
    app: Any
    _clients: list[httpx2.Client] = field(default_factory=list)

    def client(self, token: str | None = None, **headers: str) -> httpx2.Client:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        made = httpx2.Client(base_url=self.url + V1, headers=headers, trust_env=False, timeout=20)
        self._clients.append(made)
        return made

    def person(self, *roles: str, email: str | None = None) -> tuple[str, str]:
        """Somebody with these roles: their name and an access token. The password is nobody's."""
        email = email or f"{'-'.join(roles) or 'nobody'}@example.org"
        token = new_token()
        with self.database.begin() as conn:
            now = self.clock.now()
            if users.get(conn, email) is None:
                users.create(conn, email=email, password_hash="none", roles=roles, by="test", now=now)
            sessions.make_token(conn, email, digest(token), name="test", now=now)
        return email, token

    def as_(self, *roles: str, email: str | None = None) -> httpx2.Client:
        return self.client(self.person(*roles, email=email)[1])

    def everybody(self) -> httpx2.Client:
        """A client with every role."""
        return self.as_(*ROLES, email="root@example.org")

    def close(self) -> None:
        for client in self._clients:
            client.close()

    # --- what the loop writes -------------------------------------------------------------------------------------

    def incident(self, name: str = "cart", namespace: str = "shop") -> Incident:
        now = self.clock.now()
        sighting = Sighting(
            fingerprint=f"fp-{namespace}-{name}-{self.ids.new('fp')}",
            entity=f"deployment/{namespace}/{name}",
            namespace=namespace,
            severity="high",
            confidence=0.9,
            score=7.5,
            sentence=f"{name} in {namespace}: memory is 0.82 (expected 0.4)",
            evidence=[{"signal": "memory_limit_ratio", "unit": "ratio", "value": 0.82, "expected": 0.4, "share": 1.0}],
            features={"memory_limit_ratio.level": 0.82},
            first_abnormal_at=now - timedelta(seconds=30),
            last_abnormal_at=now,
        )
        with self.database.begin() as conn:
            return incidents.see(conn, sighting, new_id=self.ids.new("inc"), now=now)[0]

    def proposed(
        self,
        incident: Incident | None = None,
        *,
        by: str = SYSTEM,
        roles: Sequence[str] = (SYSTEM,),
        workload: str = "deployment/shop/cart",
    ) -> Remediation:
        _, namespace, name = workload.split("/")
        new = NewRemediation(
            id=self.ids.new("rem"),
            incident_id=incident.id if incident else None,
            undo_of=None,
            action=ActionKind.SCALE_DEPLOYMENT,
            target=Target("Deployment", namespace, name),
            workload=workload,
            params={"replicas": 3},
            requested_by=by,
            requester_roles=roles,
            by_hand=by != SYSTEM,
            sentence="one replica more",
            expected_effect=None,
            confidence=0.9,
        )
        with self.database.begin() as conn:
            made = remediations.propose(conn, new, now=self.clock.now())
        assert made is not None
        return made

    def waiting(self, incident: Incident | None = None, *, needed: int = 1, **options: Any) -> Remediation:
        """Proposed, planned, and waiting for approval for half an hour."""
        item = self.proposed(incident, **options)
        changes = {
            "plan": PLAN,
            "plan_digest": DIGEST,
            "approvals_needed": needed,
            "approval_expires_at": self.clock.now() + timedelta(minutes=30),
            "decision": {"effect": "allow", "code": "allow", "sentence": "heal-scale allows it", "policies": []},
        }
        return self.move(item, State.AWAITING_APPROVAL, reason="1 approval needed", changes=changes)

    def move(
        self, item: Remediation, to: State, *, reason: str = "so it went", changes: dict[str, Any] | None = None
    ) -> Remediation:
        with self.database.begin() as conn:
            now = self.clock.now()
            remediations.move(
                conn, item, to, by=SYSTEM, reason=reason, now=now, due_at=None, stage="test", changes=changes
            )
            moved = remediations.get(conn, item.id)
        assert moved is not None
        return moved

    def audit_kinds(self, subject: str | None = None) -> list[str]:
        """Kinds of audit entries, oldest first, ordered or not yet."""
        with self.database.begin() as conn:
            rows = conn.exec_driver_sql("SELECT entry FROM audit_entries ORDER BY id").scalars().all()
        found = [json.loads(bytes(row)) for row in rows]
        return [entry["kind"] for entry in found if subject is None or entry["subject"] == subject]


@contextmanager
def running_api(
    server: EmbeddedPostgres,
    directory: Path,
    *,
    static: Path | None = None,
    vkey: str = VKEY,
    public_url: str = "",
    engine_url: str = "http://127.0.0.1:9",
    bootstrap_token_file: Path | None = None,
    policies: Path | None = None,
) -> Iterator[Api]:
    token_file = directory / "bootstrap-token"
    token_file.write_text(TOKEN + "\n")
    token_file.chmod(0o600)
    clock = ManualClock(START)
    with fresh_database(server) as url:
        database = Database(url, pool_size=8, application="aegis-api-test")
        deps = Deps(
            database=database,
            clock=clock,
            ids=Ids(clock),
            engine_url=engine_url,
            audit_vkey=vkey,
            bootstrap_token_file=bootstrap_token_file or token_file,
            public_url=public_url,
            static=static or directory / "static",
            policy_directory=policies,
        )
        app = create_app(deps)
        with BackgroundServer(app, on_leave=app.state.live.leave) as running:
            api = Api(running.url, database, clock, deps.ids, app)
            yield api
            api.close()
        database.close()


@pytest.fixture
def api(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Api]:
    """An API on a database of its own."""
    with running_api(postgres, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_api(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One API for a module whose tests do not get into each other's way."""
    with running_api(postgres, tmp_path_factory.mktemp("api")) as made:
        yield made


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem, after checking that it is one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    return body
