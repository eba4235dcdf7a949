"""A fault with a cure ends HELPED and resolved; its victims are left alone and get well with it; all is on record."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.integration.support_loop import Story, a_plan, models, story

from aegis.api.incidents import causes
from aegis.controller.loop import Timing
from aegis.storage import audit, remediations
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.remediations import Remediation

__all__ = ["models"]
pytestmark = pytest.mark.integration

HEALED = ["proposed", "approved", "ready", "executing", "executed", "verifying", "helped", "closed"]
ASKED = [HEALED[0], "awaiting_approval", *HEALED[1:]]
STAGES = ["sense", "detect", "diagnose", "recommend", "decide", "act", "verify", "close", "incident"]
QUIET = timedelta(seconds=120)


def to_the_end(tale: Story, name: str) -> Remediation:
    """Let the newest fix of a workload be verified and its incident end; returns the fix."""
    tale.every = 15
    tale.until(lambda: tale.remediation(name).close, within=400)
    for fault in list(tale.sandbox.faults):  # a leak leaks on and load stays high until somebody sees to the cause
        tale.sandbox.stop_fault(fault)
    tale.until(lambda: tale.incident(name).closed_at, within=400)
    return tale.remediation(name)


def assert_healed(tale: Story, name: str, *, states: list[str]) -> None:
    fix, incident = tale.remediation(name), tale.incident(name)
    assert (tale.states(fix), fix.close) == (states, "resolved")
    assert incident.state == "resolved"
    assert incident.closed_at is not None
    assert incident.closed_at - incident.last_abnormal_at >= QUIET
    assert len(tale.effects(name)) == 1
    assert [one for one in tale.remediations(name) if one.undo_of] == []


@pytest.fixture(scope="module")
def burst(postgres: EmbeddedPostgres, models: Path) -> Iterator[Story]:
    """An error burst of catalog, which search and frontend call, healed and over."""
    with story(postgres, a_plan(), models=models) as tale:
        tale.advance(30)
        assert tale.incidents() == []
        tale.sandbox.start_fault("error_burst", "catalog")
        tale.until(lambda: tale.effects("catalog"), within=120)
        to_the_end(tale, "catalog")
        tale.until(lambda: all(one.closed_at for one in tale.incidents()), within=300)
        yield tale


def test_an_error_burst_is_healed_and_its_incident_resolved_after_the_quiet_time(burst: Story) -> None:
    assert_healed(burst, "catalog", states=HEALED)


def test_its_victims_are_left_alone_and_get_well_with_it(burst: Story) -> None:
    victims = {one.entity.rsplit("/", 1)[1] for one in burst.incidents()} - {"catalog"}
    assert victims >= {"search", "frontend"}
    assert {one.state for one in burst.incidents()} == {"resolved"}
    assert {effect.name for effect in burst.effects()} == {"catalog"}


def test_its_victims_name_it_and_all_stay_as_grave_as_they_were(burst: Story) -> None:
    with burst.connect() as conn:
        named = causes(conn, burst.incidents())
    suspects = {victim: [one.entity for one in found] for victim, found in named.items()}
    for name in ("search", "frontend"):
        assert suspects[burst.incident(name).id] == ["deployment/shop/catalog"]
        assert burst.incident(name).severity in ("high", "critical")
    assert burst.incident("catalog").id not in suspects


def test_the_timeline_shows_every_stage_in_order(burst: Story) -> None:
    told = burst.timeline(burst.incident("catalog"))
    assert [event.at for event in told] == sorted(event.at for event in told)
    in_order = iter(event.stage for event in told)
    assert all(stage in in_order for stage in STAGES)
    assert [stage for stage, _ in itertools.groupby(event.stage for event in told)][-1] == "incident"


def test_every_change_of_state_has_its_audit_entry_with_a_position(burst: Story) -> None:
    fix, incident = burst.remediation("catalog"), burst.incident("catalog")
    written = burst.record()
    with burst.connect() as conn:
        rows = remediations.history(conn, fix.id)
        found = [written[audit.position_of(conn, row.audit_id) or -1] for row in rows]
        assert audit.check(conn) is None
    assert [(one.kind, one.at) for one in found] == [(f"remediation:{row.state}", row.at) for row in rows]
    assert [one.kind for one in found] == [
        one.kind for one in burst.said(fix.id) if one.kind.startswith("remediation:")
    ]
    of_incident = [one.kind for one in burst.said(incident.id)]
    assert of_incident[0] == "incident:opened"
    assert of_incident[-2:] == ["incident:mitigating", "incident:resolved"]


def test_the_ticket_carries_the_position_of_its_intent(burst: Story) -> None:
    fix = burst.remediation("catalog")
    journal = burst.loop.executor.journal()
    begun = [one["data"] for one in journal if (one["kind"], one["subject"]) == ("action:begun", fix.id)]
    assert len(begun) == 1
    intent = burst.record()[begun[0]["intent"]]
    assert (intent.kind, intent.subject) == ("remediation:executing", fix.id)


@pytest.mark.parametrize(
    ("fault", "name", "action"),
    [("memory_leak", "cart", "restart_deployment"), ("cpu_saturation", "search", "scale_deployment")],
)
def test_a_leak_and_a_saturation_are_healed_too(
    postgres: EmbeddedPostgres, models: Path, fault: str, name: str, action: str
) -> None:
    with story(postgres, a_plan(), models=models) as tale:
        started = tale.sandbox.start_fault(fault, name)
        tale.until(lambda: tale.effects(name), within=240)
        if fault == "memory_leak":
            tale.sandbox.stop_fault(started.id)
        assert to_the_end(tale, name).action == action
        assert_healed(tale, name, states=HEALED)


def test_a_crash_loop_is_rolled_back_once_somebody_has_approved_exactly_that(
    postgres: EmbeddedPostgres, models: Path
) -> None:
    with story(postgres, a_plan(), models=models) as tale:
        before = tale.spec("search")["template"]
        tale.sandbox.start_fault("crash_loop", "search")
        tale.until(lambda: tale.remediations("search"), within=120)
        tale.advance(30)
        fix = tale.remediation("search")
        assert (fix.state, fix.action, tale.effects()) == ("awaiting_approval", "rollback_deployment", [])
        approver = tale.person("approver")
        tale.approve(fix, approver)
        tale.turn()
        assert to_the_end(tale, "search").id == fix.id
        assert_healed(tale, "search", states=ASKED)
        assert tale.spec("search")["template"] == before
        given = next(one for one in tale.said(fix.id) if one.kind == "remediation:approved")
        assert given.data["approvers"] == [approver]


def test_the_victim_of_a_stuck_service_is_not_restarted_and_gets_well_when_that_one_is_healed(
    postgres: EmbeddedPostgres, models: Path
) -> None:
    with story(postgres, a_plan(), models=models) as tale:
        tale.sandbox.start_fault("dependency_timeout", "payments")
        tale.until(lambda: tale.effects("payments"), within=120)
        tale.every = 15
        tale.until(lambda: all(one.closed_at for one in tale.incidents()), within=600)
        assert {effect.name for effect in tale.effects()} == {"payments"}
        assert tale.incident("checkout").failure_class == "connection_timeout"
        assert {one.state for one in tale.incidents()} == {"resolved"}
        assert tale.remediations("checkout") == []


def test_a_victim_that_stays_ill_calls_a_person_after_the_patience(postgres: EmbeddedPostgres, models: Path) -> None:
    patience = timedelta(seconds=90)
    with story(postgres, a_plan("observe", timing=Timing(escalate_after=patience)), models=models) as tale:
        tale.sandbox.start_fault("dependency_timeout", "payments")
        tale.until(lambda: tale.incidents("checkout"), within=60)
        opened = tale.incident("checkout").opened_at
        tale.until(lambda: tale.incident("checkout").state == "escalated", within=180)
        called = next(one for one in tale.timeline(tale.incident("checkout")) if one.title == "Incident escalated")
        assert called.at - opened >= patience
        assert "victim" in called.detail
        assert tale.effects() == []
