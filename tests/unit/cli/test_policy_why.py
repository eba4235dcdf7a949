"""`aegis policy why`, `why-not`, `diff` and `schema` on files: the engine's own answer, with what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.support_policy import ASK, NOON, YAML, aegis, policy, risky, write

from aegis.policy.schema import json_schema


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    write(tmp_path / "policies" / "office.yaml", YAML)
    write(tmp_path / "policies" / "never.json", risky())
    return tmp_path / "policies"


def test_why_names_the_policy_and_the_condition_that_decided(policies: Path, tmp_path: Path) -> None:
    request = write(tmp_path / "request.json", ASK | {"metadata": {"risk": 60}})
    said = aegis("why", request, "--policies", policies, "--at", NOON)
    assert said.code == 0
    assert "DENY (explicit_deny): policy never-risky denies scale_deployment on deployment/prod/cart." in said.out
    assert "DENY never-risky: metadata.risk is above 50" in said.out
    assert "ann (operator): scale_deployment" in said.out


def test_the_time_comes_from_the_option_or_the_request(policies: Path, tmp_path: Path) -> None:
    night = write(tmp_path / "night.yaml", json.dumps(ASK | {"now": "2026-03-03T22:00:00+01:00"}))
    denied = aegis("why", night, "-p", policies, "--json").json()
    assert (denied["decision"]["code"], denied["request"]["now"]) == ("default_deny", "2026-03-03T21:00:00Z")
    allowed = aegis("why", night, "-p", policies, "--at", NOON, "--json").json()
    assert allowed["decision"]["effect"] == "allow"


def test_what_an_allow_obliges_to_is_told(tmp_path: Path) -> None:
    duty = {"type": "require_approval", "with": {"from_roles": ["approver"], "count": 2, "within": "30m"}}
    limit = {"type": "rate", "scope": ["resource"], "max": 1, "per": "30m"}
    write(tmp_path / "p" / "a.json", policy("a", obligations=[duty], limits=[limit]))
    out = aegis("why", write(tmp_path / "request.json", ASK), "-p", tmp_path / "p").out
    assert "obliges to require_approval: fulfillment required, count 2, from_roles approver, within_seconds 1800" in out
    assert "limited by rate: scope resource, max 1, per_seconds 1800" in out


def test_a_request_may_come_from_standard_input(policies: Path) -> None:
    said = aegis("why", "-", "-p", policies, "--at", NOON, typed=json.dumps(ASK))
    assert "ALLOW (allow)" in said.out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({**ASK, "colour": "red"}, "(at /colour): not a part of a request."),
        ({**ASK, "action": "Scale Up"}, "(at /action): an action is a name, or noun:verb."),
        ({**ASK, "now": "yesterday"}, "(at /now): a time carries its offset from UTC."),
        ("[1]", ": a request is an object. A request has principal {id, roles}"),
    ],
)
def test_a_request_that_cannot_be_read_is_told_with_its_place(
    policies: Path, tmp_path: Path, content: object, told: str
) -> None:
    said = aegis("why", write(tmp_path / "request.json", content), "-p", policies)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert str(tmp_path / "request.json") in said.err


def test_a_time_that_is_none_is_wrong_usage(policies: Path, tmp_path: Path) -> None:
    assert aegis("why", write(tmp_path / "r.json", ASK), "-p", policies, "--at", "noon").code == 2


def test_why_not_proposes_facts_and_edits_that_flip(policies: Path, tmp_path: Path) -> None:
    request = write(tmp_path / "request.json", ASK | {"metadata": {"risk": 60}})
    said = aegis("why-not", request, "-p", policies, "--at", NOON)
    assert said.code == 0
    assert "facts: with metadata.risk 50 it is allowed" in said.out
    assert "policy: with never-risky: " in said.out
    assert "+  value: 60" in said.out
    document = aegis("why-not", request, "-p", policies, "--at", NOON, "--json").json()
    assert {one["change"] for one in document["proposals"]} == {"facts", "policy"}


def test_diff_lists_what_opens_first_and_exits_with_1(policies: Path, tmp_path: Path) -> None:
    write(tmp_path / "new" / "office.yaml", YAML.replace('to: "18:00"', 'to: "20:00"'))
    write(tmp_path / "new" / "never.json", risky(above=40))
    said = aegis("diff", policies, tmp_path / "new")
    assert said.code == 1
    assert "Changed: never-risky, office-hours." in said.out
    assert said.out.index("DENY → ALLOW: scale_deployment") < said.out.index("ALLOW → DENY: scale_deployment")
    assert "before: no policy allows" in said.out


def test_policies_that_differ_in_words_only_decide_the_same(policies: Path, tmp_path: Path) -> None:
    write(tmp_path / "new" / "office.yaml", YAML.replace("Careful", "Small"))
    write(tmp_path / "new" / "never.json", risky())
    said = aegis("diff", policies, tmp_path / "new")
    assert said.code == 0
    assert "Differing in words only: office-hours." in said.out
    assert "Both decide the same" in said.out
    assert aegis("diff", policies, tmp_path / "new", "--json").json()["reworded"] == ["office-hours"]


def test_the_schema_is_the_one_that_all_share() -> None:
    assert aegis("schema").json() == json_schema()


@pytest.mark.parametrize("command", ["test", "check", "diff", "why", "why-not", "schema", "backtest", "apply", "list"])
def test_the_help_of_each_command_has_an_example(command: str) -> None:
    assert f"aegis policy {command}" in aegis(command, "--help").out
