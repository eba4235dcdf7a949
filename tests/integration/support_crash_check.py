"""The independent checker of the crash tests: reads two databases, the witness and the cluster's own list of effects.

It trusts nothing that the processes say about themselves and calls none of their code, except for the table of legal
transitions, which is what it holds them to. Each function is one sentence of what must be true after any crash.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from tests.integration.support_crash import World
from tests.integration.support_crash_processes import Place
from tests.integration.support_crash_stories import Story, play

import aegis_verify
from aegis.remediation.states import TRANSITIONS, State

ID = re.compile(r"rem_[0-9a-hjkmnp-tv-z]{26}")
CLUSTER_BUDGET, PER_SECONDS = 20.0, 3600.0
LOG_DOMAIN = b"aegis.executor.log.v1\0"
Rows = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Entry:
    position: int | None
    kind: str
    subject: str
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that was written down, and everything that really happened."""

    remediations: Rows
    history: Rows
    incidents: Rows
    timeline: Rows
    approvals: Rows
    budgets: dict[str, float]
    entries: dict[int, Entry]
    intents: dict[str, Any]
    results: Rows
    log: Rows
    effects: Sequence[tuple[str, datetime]]

    def path(self, remediation: str) -> list[Any]:
        return [step for step in self.history if step.remediation_id == remediation]

    def first_path(self) -> list[str]:
        """The states of what was proposed first."""
        return [step.state for step in self.path(self.history[0].remediation_id)]


def played(world: World, story: Story) -> Record:
    """Play the story to its end, with all its deaths, and check everything."""
    play(world, story)
    world.bury()
    effects = world.effects()
    world.stop()
    return check(world.place, effects)


def check(place: Place, effects: Sequence[dict[str, Any]]) -> Record:
    """Fails on the first broken sentence; the controller has ended, so that nothing is under way any more."""
    with (
        psycopg.connect(place.control_url, row_factory=namedtuple_row) as control,
        psycopg.connect(place.journal_url, row_factory=namedtuple_row) as journal,
    ):
        record = _read(control, journal, effects)
        _log_is_whole_and_witnessed(control, place)
    _every_remediation_ended_legally(record)
    _every_incident_ended(record)
    _no_action_ran_twice_and_none_unrecorded(record)
    _no_action_ran_without_an_earlier_intent(record)
    _nothing_is_lost(record)
    _no_budget_was_taken_twice(record)
    _executors_log_is_a_chain(record)
    return record


def _read(control: Any, journal: Any, effects: Sequence[dict[str, Any]]) -> Record:
    def rows(database: Any, query: str) -> Rows:
        found: Rows = database.execute(query).fetchall()
        return found

    entries = {}
    for row in rows(control, "SELECT id, position, entry FROM audit_entries"):
        said = json.loads(row.entry)
        at = datetime.fromisoformat(said["at"])
        entries[row.id] = Entry(row.position, said["kind"], said["subject"], at, said["data"])
    return Record(
        remediations=rows(control, "SELECT * FROM remediations"),
        history=rows(control, "SELECT * FROM remediation_history ORDER BY id"),
        incidents=rows(control, "SELECT * FROM incidents"),
        timeline=rows(control, "SELECT * FROM timeline ORDER BY id"),
        approvals=rows(control, "SELECT * FROM approvals"),
        budgets={row.key: row.tokens for row in rows(control, "SELECT key, tokens FROM budgets")},
        entries=entries,
        intents={row.action_id: row for row in rows(journal, "SELECT * FROM executor_intents")},
        results=rows(journal, "SELECT * FROM executor_results WHERE state <> 'unknown'"),
        log=rows(journal, "SELECT * FROM executor_log ORDER BY position"),
        effects=[(_action_of(effect), datetime.fromisoformat(effect["time"])) for effect in effects],
    )


def _action_of(effect: dict[str, Any]) -> str:
    """The id that the change carries as the object's annotation."""
    found = set(ID.findall(effect["summary"]))
    assert len(found) == 1, f"an effect without an id of its own: {effect}"
    return str(found.pop())


def _every_remediation_ended_legally(record: Record) -> None:
    for item in record.remediations:
        path = [State(step.state) for step in record.path(item.id)]
        assert path[0] is State.PROPOSED, path
        assert path[-1] is State.CLOSED, path
        assert all(after in TRANSITIONS[before] for before, after in pairwise(path)), path
        assert item.state == "closed"
        assert item.close in ("resolved", "escalated", "refused"), item.close
        assert item.due_at is None
        assert item.lease_owner is None


def _every_incident_ended(record: Record) -> None:
    for incident in record.incidents:
        assert incident.state in ("resolved", "escalated"), incident.state
        assert (incident.closed_at is not None) == (incident.state == "resolved")


def _no_action_ran_twice_and_none_unrecorded(record: Record) -> None:
    ran = Counter(action for action, _ in record.effects)
    assert all(count == 1 for count in ran.values()), ran
    recorded = {step.remediation_id for step in record.history if step.state == "executed"}
    assert set(ran) == recorded, "what is said to have been done is not what was done"
    finals = Counter(row.action_id for row in record.results)
    assert set(finals) == set(record.intents), "an action that was begun has no end in the journal"
    assert all(count == 1 for count in finals.values())
    assert {row.action_id for row in record.results if row.state == "executed"} == recorded


def _no_action_ran_without_an_earlier_intent(record: Record) -> None:
    for action, at in record.effects:
        steps = record.path(action)
        [intent] = [step for step in steps if step.state == "executing"]
        entry = record.entries[intent.audit_id]
        assert (entry.kind, entry.subject) == ("remediation:executing", action)
        assert entry.position is not None
        for step in steps[steps.index(intent) + 1 :]:
            later = record.entries[step.audit_id].position
            assert later is not None
            assert entry.position < later
        begun = record.intents[action]
        assert begun.decision["intent"] == entry.position, "the decision names another intent"
        assert entry.at <= begun.at <= at


def _nothing_is_lost(record: Record) -> None:
    """History, timeline and audit tell the same story, entry by entry."""
    told = {step.audit_id: (f"remediation:{step.state}", step.remediation_id) for step in record.history}
    assert told == _entries(record, "remediation:")
    shown = {event.audit_id for event in record.timeline if event.audit_id is not None}
    of_incidents = {item.id for item in record.remediations if item.incident_id}
    missing = {step.audit_id for step in record.history if step.remediation_id in of_incidents} - shown
    assert not missing, "steps that the timeline does not show"
    assert set(_entries(record, "incident:")) <= shown
    for item in record.remediations:
        assert record.path(item.id)[-1].state == item.state
        undos = [other.id for other in record.remediations if other.undo_of == item.id]
        undoing = sum(step.state == "undoing" for step in record.path(item.id))
        done = [name for name in undos if "executed" in {step.state for step in record.path(name)}]
        assert bool(undos) == bool(undoing)
        assert len(done) <= undoing, "only what was withdrawn untouched is proposed again"
    for incident in record.incidents:
        kinds = [kind for kind, subject in _entries(record, "incident:").values() if subject == incident.id]
        assert kinds.count("incident:opened") == 1
        assert f"incident:{incident.state}" in kinds
    given = [entry for entry in record.entries.values() if entry.kind in ("approval:given", "approval:rejected")]
    assert sorted(entry.subject for entry in given) == sorted(row.remediation_id for row in record.approvals)


def _entries(record: Record, kind: str) -> dict[int, tuple[str, str]]:
    return {
        number: (entry.kind, entry.subject)
        for number, entry in sorted(record.entries.items())
        if entry.kind.startswith(kind)
    }


def _no_budget_was_taken_twice(record: Record) -> None:
    undos = {item.id for item in record.remediations if item.undo_of}
    taken = [step.at for step in record.history if step.state == "ready" and step.remediation_id not in undos]
    tokens, last = CLUSTER_BUDGET, None
    for at in taken:
        gained = (at - last).total_seconds() * CLUSTER_BUDGET / PER_SECONDS if last else 0.0
        tokens, last = min(CLUSTER_BUDGET, tokens + gained) - 1.0, at
    assert abs(record.budgets.get("cluster:all", CLUSTER_BUDGET) - tokens) < 0.5


def _log_is_whole_and_witnessed(control: Any, place: Place) -> None:
    """Every entry has its place, without a gap, and an outsider's verifier accepts all of them under a checkpoint."""
    rows = control.execute("SELECT position, entry, leaf FROM audit_entries ORDER BY position").fetchall()
    assert [row.position for row in rows] == list(range(len(rows)))
    lines = [
        b'{"entry":%b,"leaf":"%b","position":%d}\n' % (row.entry, row.leaf.hex().encode(), row.position) for row in rows
    ]
    export = Path(place.home) / "export.ndjson"
    export.write_bytes(b"".join(lines))
    key = aegis_verify.read_key(place.keys.audit_public.read_text())
    checked = aegis_verify.verify(export, aegis_verify.read_checkpoints(place.witness, key), key)
    assert checked == (len(rows), len(rows))


def _executors_log_is_a_chain(record: Record) -> None:
    previous = bytes(32)
    for position, row in enumerate(record.log, start=1):
        assert row.position == position
        assert row.previous == previous
        previous = hashlib.sha256(LOG_DOMAIN + previous + row.entry).digest()
        assert row.hash == previous
    begun = Counter(
        entry["subject"] for row in record.log if (entry := json.loads(row.entry))["kind"] == "action:begun"
    )
    assert begun == Counter(dict.fromkeys(record.intents, 1))
