"""What happens in a crash test besides the crash: faults, and people who ask, approve, reject and heal by hand.

A story goes on through any number of deaths: whoever finds the API dead asks again, after looking whether it was heard
the first time, as people do. Nothing here knows what is killed or where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.integration.support_crash import World
from tests.integration.support_crash_processes import NAMESPACE, WORKLOAD

from aegis.kit.clock import from_epoch, rfc3339
from aegis.storage.safety import Mode

MOST_STEPS = 120  # an hour of simulated time


@dataclass(frozen=True, slots=True)
class Story:
    """`path` is the way of the first remediation, or its beginning where the rest depends on what metrics show.

    `fault` begins before anything, `harm` once the action took effect; `asks` means that a person asks for one replica
    more, `alerts` that Alertmanager reports errors that no metric shows; `answer` is the approver's.
    """

    path: str
    mode: Mode = "auto"
    fault: str | None = None
    harm: str | None = None
    asks: bool = False
    alerts: bool = False
    answer: Literal["approve", "reject"] | None = None

    @property
    def states(self) -> list[str]:
        return self.path.split()

    def goes(self, path: list[str]) -> bool:
        """Whether this is the way it is told."""
        return path[: len(self.states)] == self.states


_ACTED = "approved ready executing executed verifying"
STORIES = {
    "helped": Story(f"proposed {_ACTED} helped closed", fault="error_burst"),
    "approved": Story(
        f"proposed awaiting_approval {_ACTED} helped closed", mode="approve", fault="error_burst", answer="approve"
    ),
    "rejected": Story(
        "proposed awaiting_approval rejected closed", mode="approve", fault="error_burst", answer="reject"
    ),
    "expired": Story("proposed awaiting_approval expired closed", mode="approve", fault="error_burst"),
    "observed": Story("proposed denied closed", mode="observe", fault="error_burst"),
    "useless": Story(f"proposed {_ACTED} no_effect closed", fault="trap_scale_to_zero"),
    "alerted": Story(f"proposed {_ACTED}", alerts=True),
    "idle": Story(f"proposed awaiting_approval {_ACTED} inconclusive closed", asks=True, answer="approve"),
    "undone": Story(
        f"proposed awaiting_approval {_ACTED} harmed undoing undone closed",
        mode="approve",
        asks=True,
        harm="error_burst",
        answer="approve",
    ),
}


def play(world: World, story: Story) -> None:
    """Start the world and let time pass until everything has come to its end; fails after an hour of simulated time."""
    world.start(story.mode)
    world.advance()
    if story.fault:
        _begin(world, story.fault)
    for _ in _steps(world):
        _ask(world, story)
        _answer(world, story)
        _harm(world, story)
        _heal(world)
        world.advance()


def _steps(world: World) -> Iterator[int]:
    for step in range(MOST_STEPS):
        if over(world):
            return
        yield step
    raise AssertionError(f"it has come to no end\n{world.told()}")


def over(world: World) -> bool:
    """Something was proposed, every remediation is closed, and every incident has ended."""
    closed = [state == "closed" for (state,) in world.rows("SELECT state FROM remediations")]
    ended = [state in ("resolved", "escalated") for (state,) in world.rows("SELECT state FROM incidents")]
    return bool(closed) and all(closed) and all(ended)


def _begin(world: World, fault: str) -> None:
    world.sandbox("POST", "/sandbox/faults", {"kind": fault, "workload": WORKLOAD, "strength": 2.0})


def _ask(world: World, story: Story) -> None:
    if story.asks and not world.rows("SELECT 1 FROM remediations"):
        target = {"kind": "Deployment", "namespace": NAMESPACE, "name": WORKLOAD}
        wanted = {"action": "scale_deployment", "target": target, "params": {"replicas": 3}, "reason": "a busy evening"}
        world.ask("operator", "POST", "/remediations", wanted)
    if story.alerts and not world.rows("SELECT 1 FROM alerts"):
        labels = {"alertname": "HighErrorRate", "namespace": NAMESPACE, "deployment": WORKLOAD, "severity": "critical"}
        alert = {"status": "firing", "labels": labels, "startsAt": rfc3339(from_epoch(world.board.now))}
        world.ask("operator", "POST", "/alerts/alertmanager", {"version": "4", "alerts": [alert]})


def _answer(world: World, story: Story) -> None:
    """The approver's word on the first remediation; on what is proposed after it nobody says anything."""
    waiting = world.rows(
        "SELECT id, state, plan_digest FROM remediations WHERE undo_of IS NULL ORDER BY proposed_at, id LIMIT 1"
    )
    if story.answer and waiting and waiting[0][1] == "awaiting_approval":
        reason = {"reason": "not this evening"} if story.answer == "reject" else {}
        body = {"plan_digest": waiting[0][2], **reason}
        world.ask("approver", "POST", f"/remediations/{waiting[0][0]}/{story.answer}", body)


def _harm(world: World, story: Story) -> None:
    acted = world.rows("SELECT 1 FROM remediations WHERE state IN ('executed', 'verifying')")
    if story.harm and acted and not _faults(world):
        _begin(world, story.harm)


def _heal(world: World) -> None:
    """Once Aegis has done with its first try, somebody heals what is left."""
    first = world.rows("SELECT state FROM remediations WHERE undo_of IS NULL ORDER BY proposed_at, id LIMIT 1")
    if first and first[0][0] == "closed":
        for fault in _faults(world):
            world.sandbox("DELETE", f"/sandbox/faults/{fault}")


def _faults(world: World) -> list[str]:
    return [str(fault["id"]) for fault in world.sandbox("GET", "/sandbox/faults")["running"]]
