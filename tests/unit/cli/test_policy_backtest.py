"""`aegis policy backtest --from`: an exported record decided again, with what opens first and an exit code for CI."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.support_policy import ASK, Said, aegis, policy, risky, write

from aegis.policy.compile import compile_bundle
from aegis.policy.request import parse_request

OLD = [policy("open"), risky(above=50)]
NOW = datetime.now(UTC).replace(microsecond=0)


def recorded(number: int, *, ago: timedelta = timedelta(hours=1), **changes: Any) -> dict[str, Any]:
    """One line of an export: what the old policies said to a request of this risk."""
    request = parse_request(ASK | {"metadata": {"risk": number}}, now=NOW - ago, simulation=True)
    decision = compile_bundle(OLD).evaluate(request)
    return {
        "id": number,
        "at": (NOW - ago).isoformat().replace("+00:00", "Z"),
        "facts": request.facts(),
        "effect": decision.effect,
        "code": decision.code,
        "policies": list(decision.policy_ids),
        "decision": decision.document(),
    } | changes


def export(path: Path, *lines: dict[str, Any]) -> Path:
    return write(path, "".join(json.dumps(line) + "\n" for line in lines))


def backtest(tmp_path: Path, file: Path, *documents: dict[str, Any], options: tuple[str, ...] = ()) -> Said:
    for number, document in enumerate(documents):
        write(tmp_path / "new" / f"{number}.json", document)
    return aegis("backtest", tmp_path / "new", "--from", file, *options)


def test_the_same_policies_flip_nothing(tmp_path: Path) -> None:
    said = backtest(tmp_path, export(tmp_path / "x.ndjson", *map(recorded, range(40, 60))), *OLD)
    assert said.code == 0, said.out
    assert "20 decisions since 30d decided again" in said.out
    assert "20 as before, 0 flips (0 opening), 0 cannot be replayed." in said.out


def test_what_opens_is_listed_first_and_is_exit_code_1(tmp_path: Path) -> None:
    file = export(tmp_path / "x.ndjson", *map(recorded, (10, 55, 20)))
    half_open = policy("open", conditions={"attr": "metadata.risk", "op": "ne", "value": 10})
    said = backtest(tmp_path, file, half_open, risky(above=60))
    assert said.code == 1
    assert said.out.index("DENY → ALLOW") < said.out.index("ALLOW → DENY")
    assert "then deny by never-risky, now allow by open: policy open allows" in said.out
    assert "1 as before, 2 flips (1 opening), 0 cannot be replayed." in said.out
    allowed = backtest(tmp_path, file, options=("--allow-loosening",))
    assert allowed.code == 0
    document = backtest(tmp_path, file, options=("--json",)).json()
    assert document["flips"]["deny_to_allow"] == 1
    assert [one["kind"] for one in document["listed"]] == ["deny_to_allow", "allow_to_deny"]


def test_an_allow_that_loses_its_approval_opens_too(tmp_path: Path) -> None:
    line = recorded(10)
    line["decision"]["obligations"] = [{"type": "require_approval", "count": 1, "from_roles": ["approver"]}]
    said = backtest(tmp_path, export(tmp_path / "x.ndjson", line), *OLD)
    assert said.code == 1
    assert "ALLOW with fewer duties" in said.out


def test_closing_only_is_fine(tmp_path: Path) -> None:
    said = backtest(tmp_path, export(tmp_path / "x.ndjson", *map(recorded, (10, 45))), policy("open"), risky(above=40))
    assert said.code == 0
    assert "ALLOW → DENY: 1, by never-risky (1)" in said.out


def test_what_was_recorded_without_facts_is_counted_and_never_guessed(tmp_path: Path) -> None:
    file = export(tmp_path / "x.ndjson", recorded(10), recorded(20, facts=None), recorded(30, facts={"new": 1}))
    said = backtest(tmp_path, file, *OLD)
    assert said.code == 0
    assert "cannot replay, no_facts: 1: its facts were not recorded (decision 20)" in said.out
    assert "cannot replay, unreadable_facts: 1" in said.out
    assert "1 as before, 0 flips (0 opening), 2 cannot be replayed." in said.out


def test_nothing_to_compare_is_no_proof(tmp_path: Path) -> None:
    file = export(tmp_path / "x.ndjson", recorded(10, facts=None))
    said = backtest(tmp_path, file, *OLD)
    assert said.code == 1
    assert "Nothing was compared: 1 decision since 30d" in said.out
    assert backtest(tmp_path, file, options=("--allow-loosening",)).code == 0


def test_only_what_was_decided_in_the_span_is_looked_at(tmp_path: Path) -> None:
    lines = [recorded(number, ago=timedelta(days=number)) for number in (1, 5, 20, 40)]
    file = export(tmp_path / "x.ndjson", *lines)
    assert backtest(tmp_path, file, *OLD, options=("--json",)).json()["total"] == 3
    assert backtest(tmp_path, file, options=("--json", "--since", "7d")).json()["total"] == 2
    since = (NOW - timedelta(days=50)).isoformat()
    assert backtest(tmp_path, file, options=("--json", "--since", since, "--until", "10d")).json()["total"] == 2


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", ":2: it is no recorded decision: "),
        ("[]", ":2: it is no recorded decision: "),
        ('{"id": 1}', ":2: it is no recorded decision: Object missing required field `at`."),
        ('{"id": 1, "at": "2026-03-03T12:00:00"}', ":2: its time has no offset from UTC."),
        ('{"id": 1, "at": "\\xff"}', ":2: it is no recorded decision: "),
    ],
)
def test_a_line_that_is_no_decision_is_refused_with_its_number(tmp_path: Path, bad: str, told: str) -> None:
    file = write(tmp_path / "x.ndjson", json.dumps(recorded(10)) + "\n" + bad + "\n")
    said = backtest(tmp_path, file, *OLD)
    assert (said.code, said.out) == (2, "")
    assert f"aegis: {file}{told}" in said.err
    assert "aegis policy audit --export FILE" in said.err


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    said = backtest(tmp_path, tmp_path / "gone.ndjson", *OLD)
    assert said.code == 2
    assert "gone.ndjson: it cannot be read (No such file or directory)." in said.err
