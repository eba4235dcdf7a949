"""Alerts alone are enough: they open incidents, are diagnosed by name, tried again in their time, and end them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.integration.support_loop import CRASHING, THROTTLED, Story, jobs, small, tale
from tests.integration.support_wire import under_weather

from aegis.controller.alerted import MAX_TOLD
from aegis.controller.engine import EngineClient
from aegis.storage import alerts, incidents
from aegis.storage.alerts import JOINED

__all__ = ["jobs", "small", "tale"]
pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("alertname", "failure", "action"),
    [
        ("HighErrorRate", "error_burst", "restart_deployment"),
        (THROTTLED, "cpu_saturation", "scale_deployment"),
        ("ApiLatencyHigh", "high_latency", "restart_deployment"),
    ],
)
def test_an_alert_opens_an_incident_that_is_diagnosed_by_its_name_and_acted_on(
    tale: Story, alertname: str, failure: str, action: str
) -> None:
    name = tale.fresh()
    tale.alert(name, alertname)
    tale.turn()
    incident = tale.incident(name)
    assert (incident.failure_class, incident.state) == (failure, "mitigating")
    assert incident.sentence.startswith(f"Alert {alertname} on deployment/batch/{name}")
    assert (tale.remediation(name).action, tale.remediation(name).state) == (action, "verifying")


def test_an_alert_that_says_nothing_known_is_watched_and_ends_with_its_incident(tale: Story) -> None:
    name = tale.fresh()
    tale.alert(name, "SomethingNobodyWroteARuleFor")
    tale.advance(15)
    assert (tale.incident(name).failure_class, tale.incident(name).state) == ("unknown", "open")
    assert tale.remediations(name) == []
    tale.alert(name, "SomethingNobodyWroteARuleFor", status="resolved")
    tale.advance(20)
    assert tale.incident(name).state == "resolved"


def test_what_no_action_fits_calls_a_person_at_once(tale: Story) -> None:
    name = tale.fresh()
    tale.alert(name, CRASHING)  # it was never rolled out twice: there is nothing to roll back to
    tale.turn()
    assert (tale.incident(name).failure_class, tale.incident(name).state) == ("crash_loop", "escalated")


def test_an_incident_stays_open_while_its_alert_fires_and_ends_when_alertmanager_says_so(tale: Story) -> None:
    name = tale.fresh()
    alert = tale.alert(name)
    tale.every = 60
    tale.advance(240)
    tale.every = 5
    assert tale.incident(name).closed_at is None
    tale.alert(name, status="resolved")
    tale.advance(20)
    assert tale.incident(name).state == "resolved"
    with tale.connect() as conn:
        kept = alerts.of_incident(conn, tale.incident(name).id)
    assert [(one.id, one.status, one.count) for one in kept] == [(alert.id, "resolved", 2)]


def test_the_same_alert_again_opens_no_second_incident_but_after_its_end_a_new_one(tale: Story) -> None:
    name = tale.fresh()
    for _ in range(3):
        tale.alert(name, "SomethingNobodyWroteARuleFor")
        tale.advance(5)
    assert len(tale.incidents(name)) == 1
    tale.alert(name, "SomethingNobodyWroteARuleFor", status="resolved")
    tale.advance(20)
    tale.alert(name, "SomethingNobodyWroteARuleFor")
    tale.advance(5)
    assert [one.state for one in tale.incidents(name)] == ["resolved", "open"]


def test_what_was_refused_is_proposed_again_with_growing_pauses_while_the_alert_fires(tale: Story) -> None:
    name = tale.fresh()
    tale.edit(name, paused=True)  # a restart of a paused Deployment would not happen
    tale.alert(name)
    tale.every = 30
    tale.advance(480)
    tale.every = 5
    asked = [item.proposed_at for item in tale.remediations(name)]
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert {code for item in tale.remediations(name) for code in tale.refusals(item)} == {"plan_impossible"}
    assert pauses == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]


def test_an_alert_that_came_while_the_engine_was_away_is_thought_about_when_it_is_back(tale: Story) -> None:
    name, nobody = tale.fresh(), EngineClient("http://127.0.0.1:9", seconds=1.0)
    with tale.under(engine=nobody):
        tale.alert(name)
        tale.turn()
        assert (tale.incident(name).diagnosis, tale.remediations(name)) == (None, [])
        assert "engine" in tale.controller.problems["sense"]
    nobody.close()
    tale.advance(5)
    assert tale.remediation(name).state == "verifying"


def test_alerts_of_what_is_not_watched_or_names_nothing_open_nothing(tale: Story) -> None:
    before = len(tale.incidents())
    tale.namespace, kept = "elsewhere", tale.namespace
    tale.alert("web")
    tale.namespace = kept
    tale.alert("Not A Name")
    tale.turn()
    assert len(tale.incidents()) == before
    with tale.connect() as conn:
        assert alerts.unsensed(conn) == []


def test_a_flood_of_alerts_becomes_no_flood_of_incidents(tale: Story) -> None:
    before = len(tale.incidents())
    for number in range(MAX_TOLD + 20):
        tale.alert(f"ghost-{number}", "SomethingNobodyWroteARuleFor")
    tale.turn()
    with tale.connect() as conn:
        assert incidents.only_alerted(conn, tale.namespace) == MAX_TOLD
        assert alerts.unsensed(conn) == []
    assert len(tale.incidents()) - before <= MAX_TOLD
    for number in range(MAX_TOLD + 20):
        tale.alert(f"ghost-{number}", "SomethingNobodyWroteARuleFor", status="resolved")
    tale.advance(20)


def test_very_many_alerts_of_one_workload_are_still_thought_about(tale: Story) -> None:
    name = tale.fresh()
    for number in range(JOINED + 50):
        tale.alert(name, f"HighErrorRate{number}")
    tale.turn()
    assert tale.controller.problems == {}
    assert tale.incident(name).failure_class == "error_burst"
    with tale.connect() as conn:
        assert len(alerts.of_incident(conn, tale.incident(name).id)) == JOINED


def test_an_alert_that_is_one_too_many_has_no_say_in_what_is_wrong(tale: Story) -> None:
    """It would bring about what its sender may approve: only whose alert joined the incident may not."""
    name = tale.fresh()
    for number in range(JOINED):
        tale.alert(name, f"SomethingNobodyWroteARuleFor{number}")
    tale.turn()
    tale.alert(name)
    tale.advance(5)
    assert (tale.incident(name).failure_class, tale.remediations(name)) == ("unknown", [])


def test_an_alert_that_fires_again_while_its_end_is_written_down_is_not_lost(tale: Story) -> None:
    name = tale.fresh()
    over = tale.alert(name, status="resolved")
    tale.alert(name)
    with tale.connect() as conn:
        alerts.sensed(conn, over, entity=None, incident_id=None, now=tale.clock.now())
    tale.turn()
    assert tale.incident(name).failure_class == "error_burst"


def test_an_alert_that_nobody_repeats_ends_with_its_incident_and_says_nothing_of_the_next(tale: Story) -> None:
    name = tale.fresh()
    with tale.under(timing=replace(tale.loop.timing, alert_trusted=timedelta(seconds=30))):
        tale.alert(name, CRASHING)
        tale.turn()
        assert tale.incident(name).failure_class == "crash_loop"
        tale.every = 15
        tale.advance(60)
        tale.every = 5
        assert tale.incident(name).state == "resolved"
        tale.alert(name, "SomethingNobodyWroteARuleFor")
        tale.turn()
        assert [one.failure_class for one in tale.incidents(name)] == ["crash_loop", "unknown"]


def test_without_any_metrics_alerts_do_it_all(small: Story) -> None:
    with under_weather(small) as weather:
        weather.kind = "error"
        small.alert("job-00")
        small.turn()
        assert small.remediation("job-00").state == "verifying"
        small.every = 15
        small.until(lambda: small.remediation("job-00").close, within=150)
        small.alert("job-00", status="resolved")
        small.advance(30)
        assert small.incident("job-00").state == "resolved"
        assert len(small.effects()) == 1
