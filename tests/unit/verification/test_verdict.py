"""Whether it helped is said from samples alone, and never too early, never from missing ones, never from nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.telemetry.catalogue import CONTEXT, SIGNALS
from aegis.telemetry.series import Series
from aegis.verification.verdict import LAGGING, Outcome, Rules, Symptom, Verdict, judge

STEP = 5.0
SINCE, EFFECT, UNTIL = 600.0, 900.0, 1200.0
SETTLED = EFFECT + Rules().settle
ENTITY = "deployment/shop/cart"
NAN = float("nan")


@dataclass
class Story:
    """Levels of signals while healthy, while ill and after the action; judged when so many seconds have passed."""

    levels: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    symptoms: list[Symptom] = field(default_factory=lambda: [Symptom("error_ratio", 0.002)])
    now: float = SETTLED + 60

    def judge(self) -> Verdict:
        return judge(self.symptoms, self.series(), abnormal_since=SINCE, effect_at=EFFECT, now=self.now, until=UNTIL)

    def series(self) -> dict[str, Series]:
        times = np.arange(0.0, self.now + 1e-9, STEP)
        found = {}
        for name, (healthy, ill, after) in (HEALED | self.levels).items():
            values = np.where(times < SINCE, healthy, np.where(times <= EFFECT, ill, after))
            found[name] = Series(ENTITY, name, times, values)
        return found


HEALED = {
    "error_ratio": (0.002, 0.2, 0.003),
    "latency_p95": (0.1, 0.1, 0.1),
    "upstream_timeout_ratio": (0.0, 0.0, 0.0),
    "request_rate": (50.0, 45.0, 49.0),
    "replicas_wanted": (3.0, 3.0, 3.0),
    "replicas_available": (3.0, 3.0, 3.0),
}


def test_what_came_back_was_helped() -> None:
    said = Story().judge()
    assert said.outcome is Outcome.HELPED
    assert said.sentence == "error_ratio came back"
    measure = said.measures[0].document()
    assert measure == measure | {"signal": "error_ratio", "before": 0.2, "after": 0.003, "better": True}
    assert measure["change_percent"] == -98.5


@pytest.mark.parametrize(
    ("levels", "outcome"),
    [
        ({"error_ratio": (0.002, 0.2, 0.19)}, Outcome.NO_EFFECT),
        ({"error_ratio": (0.002, 0.2, 0.10)}, Outcome.NO_EFFECT),
        ({"replicas_available": (3.0, 3.0, 2.0)}, Outcome.NO_EFFECT),
        ({"error_ratio": (0.002, 0.2, 0.4)}, Outcome.HARMED),
        ({"latency_p95": (0.1, 0.1, 0.4)}, Outcome.HARMED),
        ({"upstream_timeout_ratio": (0.0, 0.0, 0.2)}, Outcome.HARMED),
        ({"request_rate": (50.0, 45.0, 3.0)}, Outcome.HARMED),
        ({"replicas_wanted": (3.0, 3.0, 0.0), "replicas_available": (3.0, 3.0, 0.0)}, Outcome.HARMED),
        ({"error_ratio": (0.002, 0.2, NAN)}, Outcome.INCONCLUSIVE),
        ({"request_rate": (50.0, 45.0, NAN)}, Outcome.INCONCLUSIVE),
        ({"replicas_available": (3.0, 3.0, NAN)}, Outcome.INCONCLUSIVE),
        ({"replicas_wanted": (3.0, 3.0, NAN)}, Outcome.INCONCLUSIVE),
        ({"error_ratio": (0.002, NAN, 0.003)}, Outcome.INCONCLUSIVE),
        # Traffic that was gone before the action is not its harm; what serves nobody still did not come back.
        ({"request_rate": (50.0, 0.0, 0.0)}, Outcome.NO_EFFECT),
        ({"request_rate": (50.0, 0.0, 20.0)}, Outcome.HELPED),
    ],
)
def test_at_the_deadline_the_verdict_is_final(levels: dict[str, tuple[float, float, float]], outcome: Outcome) -> None:
    assert Story(levels, now=UNTIL).judge().outcome is outcome


@pytest.mark.parametrize(
    ("signal", "after", "outcome"),
    [
        ("cpu_limit_ratio", 0.70, Outcome.HELPED),
        ("cpu_limit_ratio", 0.78, Outcome.NO_EFFECT),
        ("memory_limit_ratio", 0.70, Outcome.NO_EFFECT),
    ],
)
def test_a_greater_load_that_more_pods_carry_with_room_to_spare_was_helped(
    signal: str, after: float, outcome: Outcome
) -> None:
    story = Story({signal: (0.4, 0.99, after)}, [Symptom(signal, 0.4)], now=UNTIL)
    assert story.judge().outcome is outcome


def test_room_that_was_there_before_proves_nothing() -> None:
    story = Story({"cpu_limit_ratio": (0.4, 0.7, 0.7)}, [Symptom("cpu_limit_ratio", 0.4)], now=UNTIL)
    assert story.judge().outcome is Outcome.NO_EFFECT


def test_a_harm_is_said_at_once_and_no_effect_only_at_the_deadline() -> None:
    assert Story({"error_ratio": (0.002, 0.2, 0.4)}).judge().outcome is Outcome.HARMED
    assert Story({"error_ratio": (0.002, 0.2, 0.19)}).judge().outcome is None


def test_without_requests_a_parked_workload_is_not_healed_either() -> None:
    symptoms = [Symptom("replicas_unavailable", 0.0)]
    nothing = {"request_rate": (NAN, NAN, NAN), "replicas_unavailable": (0.0, 2.0, 0.0), "error_ratio": (NAN,) * 3}
    parked = {"replicas_wanted": (3.0, 3.0, 0.0), "replicas_available": (3.0, 1.0, 0.0)}
    assert Story(nothing | parked, symptoms, UNTIL).judge().outcome is Outcome.HARMED
    long_parked = {"replicas_wanted": (0.0, 0.0, 0.0), "replicas_available": (0.0, 0.0, 0.0)}
    assert Story(nothing | long_parked, symptoms, UNTIL).judge().outcome is Outcome.NO_EFFECT


def test_what_lags_or_only_explains_is_no_symptom() -> None:
    symptoms = [Symptom(name, None) for name in (*LAGGING, *CONTEXT, "not_a_signal")]
    said = Story({}, symptoms, UNTIL).judge()
    assert (said.outcome, said.measures) == (Outcome.INCONCLUSIVE, ())


def test_every_symptom_must_come_back() -> None:
    names = ["error_ratio", "latency_p95", "upstream_timeout_ratio", "cpu_limit_ratio", "memory_limit_ratio"]
    levels = dict.fromkeys(names, (0.1, 0.5, 0.1)) | {"memory_limit_ratio": (0.4, 0.9, 0.9)}
    said = Story(levels, [Symptom(name, None) for name in names], UNTIL).judge()
    assert (said.outcome, said.sentence) == (Outcome.NO_EFFECT, "memory_limit_ratio did not come back")


# --- properties ------------------------------------------------------------------------------------------------------

LEVELS = st.one_of(st.just(NAN), st.just(0.0), st.floats(0.0, 1e4), st.floats(0.0, 1.0))
NAMES = [name for name in SIGNALS if name not in LAGGING and name not in CONTEXT]
STORIES = st.builds(
    Story,
    levels=st.dictionaries(st.sampled_from(list(SIGNALS)), st.tuples(LEVELS, LEVELS, LEVELS)),
    symptoms=st.lists(
        st.builds(Symptom, st.sampled_from(NAMES), st.one_of(st.none(), st.floats(0.0, 1e3))), max_size=6
    ),
    now=st.floats(EFFECT, UNTIL + 300),
)


@given(STORIES)
def test_too_early_is_no_verdict_and_past_the_deadline_is_one(story: Story) -> None:
    outcome = story.judge().outcome
    if story.now < SETTLED:
        assert outcome is None
    if story.now >= UNTIL:
        assert outcome is not None


@given(STORIES)
def test_helped_means_that_everything_was_seen_and_is_back(story: Story) -> None:
    said = story.judge()
    if said.outcome is not Outcome.HELPED:
        return
    assert said.measures
    assert all(measure.better and measure.after is not None for measure in said.measures)
    levels = HEALED | story.levels
    wanted, available = levels["replicas_wanted"][2], levels["replicas_available"][2]
    assert available >= wanted > 0
    assert np.isnan(levels["request_rate"][0]) or not np.isnan(levels["request_rate"][2])


@given(STORIES, st.sampled_from(["symptom", "replicas_wanted", "replicas_available"]))
def test_missing_telemetry_is_never_help(story: Story, lost: str) -> None:
    if lost == "symptom" and not story.symptoms:
        return
    name = story.symptoms[0].signal if lost == "symptom" else lost
    healthy, ill, _ = (HEALED | story.levels).get(name, (NAN, NAN, NAN))
    story.levels[name] = (healthy, ill, NAN)
    assert story.judge().outcome is not Outcome.HELPED


@given(STORIES)
def test_scaling_to_zero_is_never_help(story: Story) -> None:
    healthy, ill, _ = (HEALED | story.levels)["replicas_wanted"]
    story.levels["replicas_wanted"] = (healthy, ill, 0.0)
    story.levels["replicas_available"] = (3.0, 3.0, 0.0)
    assert story.judge().outcome is not Outcome.HELPED


@given(STORIES, st.floats(1.0, 1e4), st.floats(0.0, 0.49))
def test_vanished_traffic_is_harm(story: Story, traffic: float, share: float) -> None:
    story.now = max(story.now, SETTLED + 60)
    story.levels["request_rate"] = (traffic, traffic, share * traffic)
    assert story.judge().outcome is Outcome.HARMED


@given(STORIES, st.integers(0, 5))
def test_one_missing_scrape_among_the_newest_is_never_help(story: Story, back: int) -> None:
    series = story.series()
    for one in series.values():
        one.values[len(one.values) - 1 - back] = NAN
    said = judge(story.symptoms, series, abnormal_since=SINCE, effect_at=EFFECT, now=story.now, until=UNTIL)
    assert said.outcome is not Outcome.HELPED


def test_harm_of_a_request_by_hand_is_seen_wherever_between_two_samples_it_took_effect() -> None:
    story = Story({"error_ratio": (0.002, 0.002, 0.2)}, symptoms=[])
    asked = EFFECT - STEP / 2  # nothing was wrong before it, and no sample lies on its instant
    said = judge([], story.series(), abnormal_since=asked, effect_at=asked, now=story.now, until=UNTIL)
    assert said.outcome is Outcome.HARMED
    assert said.sentence == "error ratio went from 0.2% to 20.0% after the action"
