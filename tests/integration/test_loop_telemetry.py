"""Missing data never counts as success: a service scaled to nothing, silent scrapes, a broken Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import update
from tests.integration.support_loop import BRIEF, RESTART, Story, a_plan, models, small, story
from tests.integration.support_wire import under_weather

from aegis.controller.loop import Timing
from aegis.storage import incidents
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.schema import incidents as table

__all__ = ["models", "small"]
pytestmark = pytest.mark.integration

PLAN = a_plan(timing=Timing(verify_within=BRIEF.verify_within))


def restarted(tale: Story) -> None:
    """An error burst of catalog, up to the moment when its restart has taken effect."""
    tale.sandbox.start_fault("error_burst", "catalog")
    tale.until(lambda: tale.effects("catalog"), within=120)
    assert tale.remediation("catalog").state == "verifying"
    tale.every = 15


def verdict(tale: Story) -> str:
    return tale.states(tale.remediation("catalog"))[-2]


def test_what_somebody_else_scales_to_zero_while_it_is_watched_was_not_helped(
    postgres: EmbeddedPostgres, models: Path
) -> None:
    with story(postgres, PLAN, models=models) as tale:
        restarted(tale)
        tale.advance(15)
        tale.edit("catalog", replicas=0)
        tale.until(lambda: tale.remediation("catalog").close, within=200)
        assert verdict(tale) == "harmed"
        assert tale.remediation("catalog").close == "escalated"
        tale.every = 30
        tale.advance(240)
        assert tale.incident("catalog").closed_at is None


def test_without_scrapes_nothing_is_helped_and_no_incident_ends_and_with_them_the_loop_goes_on(
    postgres: EmbeddedPostgres, models: Path
) -> None:
    with story(postgres, PLAN, models=models) as tale:
        restarted(tale)
        tale.unscraped(300)
        assert (verdict(tale), tale.remediation("catalog").close) == ("inconclusive", "escalated")
        assert [one.state for one in tale.incidents() if one.closed_at] == []

        tale.scraped_again()
        tale.until(lambda: all(one.closed_at for one in tale.incidents()), within=600)
        assert {effect.name for effect in tale.effects()} == {"catalog"}


@pytest.mark.parametrize("kind", ["error", "hang"])
def test_with_a_prometheus_that_fails_or_hangs_nothing_is_helped_and_no_incident_ends(
    postgres: EmbeddedPostgres, models: Path, kind: Literal["error", "hang"]
) -> None:
    with story(postgres, PLAN, models=models) as tale, under_weather(tale) as weather:
        restarted(tale)
        weather.kind = kind
        tale.advance(180)
        assert tale.controller.problems["sense"]
        assert (verdict(tale), tale.remediation("catalog").close) == ("inconclusive", "escalated")
        assert "no samples" in (tale.remediation("catalog").verdict or {})["sentence"]
        assert [one.state for one in tale.incidents() if one.closed_at] == []

        weather.kind = "fair"
        tale.until(lambda: all(one.closed_at for one in tale.incidents()), within=600)
        assert tale.controller.problems == {}


def test_a_gap_before_the_deadline_only_postpones_the_verdict(postgres: EmbeddedPostgres, models: Path) -> None:
    with story(postgres, a_plan(), models=models) as tale, under_weather(tale) as weather:
        restarted(tale)
        weather.kind = "error"
        tale.advance(90)
        assert tale.remediation("catalog").state == "verifying"
        assert (tale.remediation("catalog").last_error or "").startswith("prometheus_")
        weather.kind = "fair"
        tale.until(lambda: tale.remediation("catalog").close, within=120)
        assert verdict(tale) == "helped"


def test_what_nothing_was_learnt_about_is_watched_without_acting_and_blocks_nobody(postgres: EmbeddedPostgres) -> None:
    with story(postgres, a_plan()) as tale:
        tale.sandbox.start_fault("error_burst", "catalog")
        tale.until(lambda: tale.incidents("catalog"), within=120)
        tale.every = 15
        tale.advance(120)
        assert {one.failure_class for one in tale.incidents()} == {"unknown"}
        assert {one.severity for one in tale.incidents()} == {"low"}
        assert (tale.remediations(), tale.effects()) == ([], [])
        asked = tale.propose(RESTART, "catalog", by=tale.person("operator"))
        tale.turn()
        tale.approve(asked, tale.person("approver"))
        tale.turn()
        assert len(tale.effects("catalog")) == 1


def test_an_incident_whose_signals_nobody_knows_keeps_no_other_from_ending_or_being_kept(small: Story) -> None:
    seen = {"job-00": "signal_of_another_release", "job-01": "replicas_available"}
    for name, signal in seen.items():
        small.alert(name, "SomethingNobodyWroteARuleFor")
        small.turn()
        with small.connect() as conn:
            shown = update(table).where(table.c.id == small.incident(name).id)
            conn.execute(shown.values(evidence=[{"signal": signal}]))
    small.advance(5)
    with small.connect() as conn:
        assert incidents.series_of(conn, small.incident("job-01").id) is not None
    for name in seen:
        small.alert(name, "SomethingNobodyWroteARuleFor", status="resolved")
    small.advance(20)
    assert [small.incident(name).state for name in seen] == ["open", "resolved"]
    assert "is not a signal" in small.controller.problems["sense"]
