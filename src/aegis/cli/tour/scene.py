"""What the chapters share: the system, its people, the cluster as its admin sees it, and a clock that they move.

While time passes, whatever is followed (an incident's timeline, a remediation's way) is told line by line as it is
written down. A story that does not go as told raises `Departed`; nothing here waits in real time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from aegis.cli.rehearsal import Rehearsal
from aegis.cli.tour.narrator import Narrator
from aegis.cli.tour.people import People
from aegis.executor.cluster import KubernetesCluster
from aegis.kit.clock import to_epoch
from aegis.kit.errors import AegisError

Document = dict[str, Any]  # an answer of the API
Found = TypeVar("Found")
LOOK_BACK = 60.0
# Under which stage of the loop a step of a remediation is told.
STAGES = {
    **dict.fromkeys(("proposed", "denied"), "decide"),
    **dict.fromkeys(("awaiting_approval", "rejected", "expired", "approved"), "approve"),
    **dict.fromkeys(("ready", "executing", "executed", "failed", "unknown"), "act"),
    **dict.fromkeys(("verifying", "helped", "no_effect", "harmed", "inconclusive"), "verify"),
    **dict.fromkeys(("undoing", "undone", "undo_failed"), "undo"),
    "closed": "close",
}


class Departed(AegisError):
    """The story did not go as told."""

    kind = "conflict"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story; `at` is the tour's clock, hours to seconds."""

    at: str
    stage: str
    text: str


@dataclass(slots=True)
class Scene:
    system: Rehearsal
    people: People
    cluster: KubernetesCluster
    narrator: Narrator
    lines: list[Line] = field(default_factory=list)
    _followed: list[Callable[[], list[Line]]] = field(default_factory=list)
    _told: list[int] = field(default_factory=list)

    @property
    def now(self) -> str:
        return self.system.clock.now().strftime("%H:%M:%S")

    def happens(self, stage: str, text: str, *, at: str = "") -> None:
        """Tell one line, now or at the time given."""
        line = Line(at or self.now, stage, text)
        self.lines.append(line)
        self.narrator.line(line.at, line.stage, line.text)

    # --- what is followed ----------------------------------------------------------------------------------------

    def follow(self, written: Callable[[], list[Line]]) -> None:
        """Tell what `written` returns, each line once, from now on and as it grows."""
        self._followed.append(written)
        self._told.append(0)
        self._catch_up()

    def follow_incident(self, incident_id: str) -> None:
        self.follow(lambda: [_event(event) for event in _without_echo(self.incident(incident_id)["timeline"])])

    def follow_remediation(self, remediation_id: str) -> None:
        """A remediation without an incident of its own, and its undo: their ways through the states."""
        self.follow(lambda: self._steps(remediation_id))

    def _steps(self, remediation_id: str) -> list[Line]:
        undo = self.undo_of(remediation_id)
        steps = [(step, STAGES[step["state"]]) for step in self.remediation(remediation_id)["history"]]
        steps += [(step, "undo") for step in (undo["history"] if undo else ())]
        known = [(step["audit_position"], step, stage) for step, stage in steps if step["audit_position"] is not None]
        return [_step(step, stage) for _, step, stage in sorted(known, key=lambda one: one[0])]

    def leave(self) -> None:
        """Follow nothing any more: the next chapter begins."""
        self._followed.clear()
        self._told.clear()

    def _catch_up(self) -> None:
        fresh: list[Line] = []
        for number, written in enumerate(self._followed):
            lines = written()
            fresh += lines[self._told[number] :]
            self._told[number] = len(lines)
        for line in sorted(fresh, key=lambda line: line.at):
            self.happens(line.stage, line.text, at=line.at)

    # --- time ----------------------------------------------------------------------------------------------------

    def let_pass(self, seconds: float) -> None:
        self.system.advance(seconds)
        self._catch_up()

    def until(self, look: Callable[[], Found | None], *, within: float, hoped: str) -> Found:
        """What `look` finds, letting time pass until it does; raises `Departed` after `within` simulated seconds."""
        end = to_epoch(self.system.clock.now()) + within
        while (found := look()) is None:
            if to_epoch(self.system.clock.now()) >= end:
                raise Departed("story_departed", f"{hoped} was not seen within {within / 60:g} minutes")
            self.let_pass(self.system.sandbox.interval)
        return found

    # --- what is read --------------------------------------------------------------------------------------------

    def incident(self, incident_id: str) -> Document:
        found: Document = self.people.ada.get(f"/incidents/{incident_id}")
        return found

    def incidents(self, *, state: str = "open", namespace: str | None = None) -> list[Document]:
        found: list[Document] = self.people.ada.get("/incidents", state=state, namespace=namespace, limit=200)["items"]
        return found

    def incident_of(self, entity: str) -> Document | None:
        """The open incident of an entity, whole."""
        return next((self.incident(one["id"]) for one in self.incidents() if one["entity"] == entity), None)

    def remediation(self, remediation_id: str) -> Document:
        found: Document = self.people.ada.get(f"/remediations/{remediation_id}")
        return found

    def undo_of(self, remediation_id: str) -> Document | None:
        page = self.people.ada.get("/remediations", limit=10)["items"]
        return next((item for item in page if item["undo_of"] == remediation_id), None)

    def remediations(self) -> list[Document]:
        """Every one, newest first."""
        items: list[Document] = []
        cursor = None
        while True:
            page = self.people.ada.get("/remediations", limit=200, cursor=cursor)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def measured(self, entity: str, signal: str) -> float:
        """A signal's newest value, as Prometheus has it."""
        now = to_epoch(self.system.clock.now())
        series = self.system.source.series(entity, now - LOOK_BACK, now, signals=[signal])[signal]
        return float(series.values[-1])


def verdict_of(remediation: Document) -> str | None:
    """helped, no_effect, harmed or inconclusive; None before there is one."""
    verdict = remediation["verdict"]
    return None if verdict is None or verdict["verdict"] is None else str(verdict["verdict"])


def clock_of(text: str) -> str:
    """An API's time on the tour's clock."""
    return datetime.fromisoformat(text).strftime("%H:%M:%S")


def _without_echo(timeline: list[Document]) -> list[Document]:
    """What is proposed says again what was recommended: once is enough to read."""
    following = [*timeline[1:], None]
    return [one for one, after in zip(timeline, following, strict=True) if after is None or not _echoes(one, after)]


def _echoes(one: Document, after: Document) -> bool:
    return one["stage"] == after["stage"] == "recommend" and bool(one["detail"]) and one["detail"] == after["detail"]


def _event(event: Document) -> Line:
    title = _short(event["title"])
    return Line(clock_of(event["at"]), event["stage"], f"{title}: {event['detail']}" if event["detail"] else title)


def _short(title: str) -> str:
    """What is done to which object is said when it is proposed; from then on the state is enough."""
    what, _, state = title.rpartition(": ")
    if not what or state == "proposed":
        return title
    return f"undo {state}" if what.startswith("Undo: ") else state


def _step(step: Document, stage: str) -> Line:
    return Line(clock_of(step["at"]), stage, f"{step['state'].replace('_', ' ')}: {step['reason']}")
