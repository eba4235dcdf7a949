"""Stories of the loop: a rehearsal on a clock that the test moves, with everything that became of it at hand.

What happened to the cluster is asked of the sandbox (`effects`), never of the loop. What may go wrong between the
parts is in `support_wire.py`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integration.support_postgres import fresh_database

from aegis.actions.model import ActionKind, ParamValue, Target
from aegis.audit.entry import Entry
from aegis.cli.rehearsal import Plan, Rehearsal
from aegis.controller.app import Controller
from aegis.controller.loop import Loop, Timing
from aegis.controller.reconcile import advance
from aegis.remediation.budgets import Limit, Limits
from aegis.remediation.guards import Rules
from aegis.sandbox.kube.effects import Effect
from aegis.sandbox.kube.objects import clone
from aegis.storage import alerts, approvals, audit, incidents, remediations, safety, timeline, users
from aegis.storage.alerts import IncomingAlert
from aegis.storage.approvals import Approval
from aegis.storage.database import Connection, Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.incidents import Incident
from aegis.storage.remediations import SYSTEM, NewRemediation, Remediation
from aegis.storage.safety import Safety

HISTORY = timedelta(minutes=35)  # enough for monitors to warm up, too little to learn from
TRAINING = timedelta(minutes=70)
EXECUTOR = "aegis-executor"
NOBODY = "-"  # no password opens this account
RESTART, SCALE, ROLLBACK = (ActionKind.RESTART_DEPLOYMENT, ActionKind.SCALE_DEPLOYMENT, ActionKind.ROLLBACK_DEPLOYMENT)
# Alerts whose names say enough for one action each.
ERRORS, THROTTLED, CRASHING = "HighErrorRate", "CPUThrottlingHigh", "KubePodCrashLooping"
# Nothing takes longer than it must: a verdict needs 100 s of samples.
BRIEF = Timing(quiet=timedelta(seconds=10), approval=timedelta(minutes=2), verify_within=timedelta(seconds=95))
VERDICT_SECONDS = 105
GENEROUS = Limits(*[Limit(1000, 60)] * 6)  # budgets that stop nobody
_numbers = count(1)


class Story:
    """One rehearsal and its controller; `every` is how many seconds pass between two looks of the loop."""

    def __init__(self, system: Rehearsal, *, namespaces: Sequence[str], every: float) -> None:
        self.system = system
        self.every = every
        self.namespace = namespaces[0]  # where workloads that are only named are
        self._fresh = count(0)
        self.database: Database = system.database
        self.sandbox = system.sandbox
        self.clock = system.clock
        self.controller = Controller(replace(system.controller.loop, namespaces=tuple(namespaces)))

    @property
    def loop(self) -> Loop:
        return self.controller.loop

    def with_loop(self, **changes: Any) -> Controller:
        """Another controller of the same system, e.g. with another `owner`, clients or timing."""
        return Controller(replace(self.loop, **changes))

    @contextmanager
    def under(self, **changes: Any) -> Iterator[None]:
        """For a while the story goes on with another controller of the same system."""
        before = self.controller
        self.controller = self.with_loop(**changes)
        try:
            yield
        finally:
            self.controller = before

    def connect(self) -> AbstractContextManager[Connection]:
        return self.database.begin()

    # --- time ----------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Let the loop work until it has nothing more to do at this instant."""
        while self.controller.turn():
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass with scrapes every five seconds and a look of the loop every `every`."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < end:
            self.sandbox.advance(min(self.every, (end - self.clock.now()).total_seconds()))
            self.turn()

    def until(self, done: Callable[[], object], within: float) -> None:
        """Let time pass until `done()`; fails when that takes longer than `within` seconds."""
        end = self.clock.now() + timedelta(seconds=within)
        while not done():
            assert self.clock.now() < end, f"not within {within} s:\n{self.told()}"
            self.sandbox.advance(self.every)
            self.turn()

    def unscraped(self, seconds: float) -> None:
        """Let time pass in which nothing is scraped."""
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.clock.now() < end:
            self.clock.advance(self.every)
            self.turn()

    def scraped_again(self) -> None:
        """Scraping goes on from now, with a gap behind it."""
        interval = self.sandbox.interval
        self.clock.advance(-self.clock.now().timestamp() % interval)
        self.sandbox.scrape(self.clock.now().timestamp())

    # --- what is there -------------------------------------------------------------------------------------------

    def incidents(self, name: str | None = None) -> list[Incident]:
        """Oldest first; of one workload where `name` says so."""
        with self.connect() as conn:
            found = incidents.page(conn, states=None, namespace=None, limit=200, before=None)
        return [one for one in reversed(found) if name is None or one.entity.rsplit("/", 1)[1] == name]

    def incident(self, name: str) -> Incident:
        return self.incidents(name)[-1]

    def remediations(self, name: str | None = None) -> list[Remediation]:
        """Oldest first; of one workload where `name` says so."""
        with self.connect() as conn:
            found = remediations.page(conn, state=None, limit=200, before=None)
        return [one for one in reversed(found) if name is None or one.workload.rsplit("/", 1)[1] == name]

    def remediation(self, name: str) -> Remediation:
        """The newest one of the workload that is no undo."""
        return [one for one in self.remediations(name) if one.undo_of is None][-1]

    def of(self, remediation_id: str) -> Remediation:
        with self.connect() as conn:
            found = remediations.get(conn, remediation_id)
        assert found is not None
        return found

    def states(self, item: Remediation) -> list[str]:
        """Every state it went through, in order."""
        with self.connect() as conn:
            return [row.state for row in remediations.history(conn, item.id)]

    def refusals(self, item: Remediation) -> list[str]:
        return [one["code"] for one in self.of(item.id).refusals]

    def timeline(self, incident: Incident) -> list[timeline.Event]:
        with self.connect() as conn:
            return timeline.of(conn, incident.id)

    def soon(self, done: Callable[[], object], within: float) -> None:
        """Wait for what threads do in real seconds, looking whenever PostgreSQL tells of an event."""
        end = time.monotonic() + within
        with self.database.listen("aegis_events") as events:
            while not done():
                assert time.monotonic() < end, f"not within {within} s:\n{self.told()}"
                for _ in events.notifies(timeout=0.02, stop_after=1):
                    pass

    def told(self) -> str:
        """Everything on all timelines, for a failing test's message."""
        lines = []
        for incident in self.incidents():
            lines.append(f"{incident.entity} {incident.state} {incident.failure_class}: {incident.sentence}")
            lines += [f"  {one.at:%H:%M:%S} {one.title} | {one.detail}" for one in self.timeline(incident)]
        return "\n".join(lines)

    def record(self) -> dict[int, Entry]:
        """The audit log by position, in order."""
        self.loop.sequencer.run_once()
        with self.connect() as conn:
            found = audit.entries(conn, after=-1, limit=100_000)
        return {one.position: one.entry for one in found}

    def said(self, about: str) -> list[Entry]:
        """The audit entries about one subject, in order."""
        return [entry for entry in self.record().values() if entry.subject == about]

    def safety(self) -> Safety:
        with self.connect() as conn:
            return safety.read(conn)

    def spec(self, name: str) -> dict[str, Any]:
        """The spec of the live Deployment, as the API server has it."""
        with self.sandbox.cluster.lock:
            found: dict[str, Any] = clone(self.sandbox.cluster.get("Deployment", name, self.namespace)["spec"])
        return found

    def edit(self, name: str, **spec: Any) -> None:
        """Somebody else changes the Deployment's spec."""
        self.sandbox.cluster.patch("Deployment", name, {"spec": spec}, self.namespace)

    def effects(self, name: str | None = None) -> list[Effect]:
        """What the cluster saw Aegis change; of one workload where `name` says so."""
        return [
            one
            for one in self.sandbox.cluster.effects
            if one.changed and one.user == EXECUTOR and (name is None or one.name == name)
        ]

    # --- what people and machines do -----------------------------------------------------------------------------

    def alert(self, name: str, alertname: str = ERRORS, *, status: str = "firing") -> alerts.Alert:
        """Alertmanager says so, as the API stores it."""
        incoming = IncomingAlert(
            fingerprint=f"{self.namespace}/{name}/{alertname}",
            source="alertmanager",
            name=alertname,
            severity="high",
            status=status,
            labels={"alertname": alertname, "namespace": self.namespace, "deployment": name},
            annotations={"summary": f"{alertname} on {name}"},
            starts_at=self.clock.now(),
            ends_at=None,
        )
        with self.connect() as conn:
            return alerts.receive(conn, incoming, new_id=self.system.ids.new("alr"), now=self.clock.now())

    def propose(
        self,
        action: ActionKind,
        name: str,
        params: Mapping[str, ParamValue] | None = None,
        *,
        by: str = SYSTEM,
        incident: Incident | None = None,
    ) -> Remediation:
        """A proposal, right or wrong, as the recommender or a person (`by`) hands it in."""
        with self.connect() as conn:
            roles = (SYSTEM,) if by == SYSTEM else tuple(sorted(users.roles_of(conn, by)))
            new = NewRemediation(
                id=self.system.ids.new("rem"),
                incident_id=incident.id if incident else None,
                undo_of=None,
                action=action,
                target=Target("Deployment", self.namespace, name),
                workload=f"deployment/{self.namespace}/{name}",
                params=params or {},
                requested_by=by,
                requester_roles=roles,
                by_hand=by != SYSTEM,
                sentence="A test asks for it",
                expected_effect=None,
                confidence=0.9,
            )
            made = remediations.propose(conn, new, now=self.clock.now())
        assert made is not None, f"{name} has an active remediation"
        return made

    def silence(self) -> None:
        """Every alert is over, and so is everything that waited for somebody."""
        with self.connect() as conn:
            firing = [one for one in alerts.page(conn, status="firing", limit=500, before=None) if one.incident_id]
        for one in firing:
            self.alert(one.labels["deployment"], one.name, status="resolved")
        self.turn()
        self.sandbox.advance(self.loop.timing.quiet.total_seconds() + 5)
        self.turn()

    def fresh(self) -> str:
        """The name of a workload that nobody has touched yet."""
        return f"job-{next(self._fresh):02d}"

    def up_to(self, name: str, state: str) -> Remediation:
        """Run stage after stage of what an alert leads to, until it is in `state`."""
        self.alert(name)
        self.controller.push_safety()
        self.controller.sense()
        while self.remediation(name).state != state:
            assert advance(self.loop), f"{name} never was {state}:\n{self.told()}"
        return self.remediation(name)

    def person(self, *roles: str) -> str:
        """A new user with these roles."""
        email = f"{roles[0]}-{next(_numbers)}@example.org"
        with self.connect() as conn:
            users.create(conn, email=email, password_hash=NOBODY, roles=roles, by="test", now=self.clock.now())
        return email

    def give_roles(self, email: str, *roles: str) -> None:
        with self.connect() as conn:
            users.set_roles(conn, email, roles, by="test", now=self.clock.now())

    def approve(self, item: Remediation, by: str, verdict: str = "approve") -> None:
        """Somebody says yes (or `reject`) to the plan of now, as the API records it."""
        with self.connect() as conn:
            waiting = remediations.get_for_update(conn, item.id)
            assert waiting is not None
            assert waiting.plan_digest is not None
            roles = sorted(users.roles_of(conn, by))
            said = Approval(by, verdict, roles, waiting.plan_digest, "", self.clock.now())
            assert approvals.add(conn, item.id, said)

    def change(self, how: Callable[..., object], **values: object) -> None:
        """Change the safety state: `change(safety.stop)`, `change(safety.set_mode, mode="observe")`."""
        with self.connect() as conn:
            how(conn, by="test", reason="a test", now=self.clock.now(), **values)


@contextmanager
def story(
    postgres: EmbeddedPostgres,
    plan: Plan,
    *,
    models: Path | None = None,
    namespaces: Sequence[str] = ("shop",),
    every: float = 5.0,
) -> Iterator[Story]:
    """A rehearsal from `plan`, with models learnt before or (None) without any."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aegis-story-")))
        if models is not None:
            shutil.copytree(models, home / "models")
        control = stack.enter_context(fresh_database(postgres))
        journal = stack.enter_context(fresh_database(postgres, migrated=False))
        system = stack.enter_context(Rehearsal(home, control, journal, plan))
        _admin(system)
        yield Story(system, namespaces=namespaces, every=every)


def _admin(system: Rehearsal) -> None:
    """Somebody must be admin before roles may change."""
    first = {"email": "root@example.org", "password_hash": NOBODY}
    with system.database.begin() as conn:
        users.create_first(conn, **first, roles=["admin"], now=system.clock.now())


def a_plan(
    mode: safety.Mode = "auto", *, batch: int = 0, history: timedelta = HISTORY, timing: Timing | None = None
) -> Plan:
    """A short past, the default seed and, unless said otherwise, the default timing."""
    return Plan(mode=mode, history=history, batch=batch, timing=timing or Timing())


@pytest.fixture(scope="session")
def models(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of the shop, learnt once from the past before every story begins."""
    with story(postgres, Plan(mode="observe", history=TRAINING)) as learning:
        url = f"{learning.system.engine_url}/api/v1/train"
        with httpx2.Client(timeout=100.0, trust_env=False) as http:
            http.post(url, json={"namespaces": ["shop"]}).raise_for_status()
        kept = tmp_path_factory.mktemp("loop") / "models"
        shutil.copytree(learning.system.home / "models", kept)
    return kept


@pytest.fixture(scope="module")
def jobs(postgres: EmbeddedPostgres) -> Iterator[Story]:
    """Quiet workloads of `batch` that alerts alone tell of: what they tell in an hour is too little to learn."""
    plan = a_plan(batch=36, history=timedelta(minutes=1), timing=BRIEF)
    with story(postgres, plan, namespaces=("batch",)) as made:
        made.controller = made.with_loop(limits=GENEROUS, rules=Rules(storm_incidents=1000))
        made.turn()
        yield made


@pytest.fixture
def tale(jobs: Story) -> Iterator[Story]:
    """The module's story for one test: mode auto, nothing open, and `fresh()` workloads that no test has touched."""
    yield jobs
    state = jobs.safety()
    if state.stopped:
        jobs.change(safety.resume)
    if state.mode != "auto":
        jobs.change(safety.set_mode, mode="auto")
    jobs.silence()


@pytest.fixture
def small(postgres: EmbeddedPostgres) -> Iterator[Story]:
    """Eight workloads of `batch` for one test alone, that alerts alone tell of."""
    plan = a_plan(batch=8, history=timedelta(minutes=1), timing=BRIEF)
    with story(postgres, plan, namespaces=("batch",)) as made:
        made.controller = made.with_loop(limits=GENEROUS, rules=Rules(storm_incidents=1000))
        made.turn()
        yield made
