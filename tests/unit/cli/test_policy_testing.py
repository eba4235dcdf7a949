"""`aegis policy test` and `check` on directories: what they find, say and exit with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.support_policy import YAML, aegis, case, policy, risky, write

from aegis.policy import starter

STARTER = Path(starter.__file__).parent


def test_tests_inside_and_beside_are_run(tmp_path: Path) -> None:
    write(tmp_path / "office.yaml", YAML)
    write(tmp_path / "never.json", risky())
    write(tmp_path / "all.test.json", {"tests": [case("ALLOW"), case("DENY", metadata={"risk": 51})]})
    said = aegis("test", tmp_path)
    assert said.code == 0, said.out
    assert "3 tests in 2 files: all passed." in said.out
    assert "1 policy without a test: never-risky." in said.out
    assert "✓ a careful step" in aegis("test", tmp_path, "-v").out


def test_a_failing_test_says_where_what_and_why(tmp_path: Path) -> None:
    write(tmp_path / "office.yaml", YAML.replace("expect: ALLOW", "expect: NO_MATCH"))
    said = aegis("test", tmp_path)
    assert said.code == 1
    assert "a careful step: expected NO_MATCH, got ALLOW" in said.out
    assert f"{tmp_path / 'office.yaml'}:13 (at /tests/0): policy office-hours allows scale_deployment" in said.out
    assert "1 test in 1 file: 1 failed." in said.out


def test_a_test_beside_asks_all_policies_together(tmp_path: Path) -> None:
    write(tmp_path / "office.yaml", YAML)
    write(tmp_path / "never.json", risky(above=10))
    write(tmp_path / "all.test.json", {"tests": [case("ALLOW")]})
    said = aegis("test", tmp_path)
    assert said.code == 1
    assert "policy never-risky denies scale_deployment" in said.out


def test_test_results_as_json_name_their_file(tmp_path: Path) -> None:
    file = write(tmp_path / "office.yaml", YAML)
    said = aegis("test", tmp_path, "--json")
    (result,) = said.json()["results"]
    assert said.json()["passed"] is True
    assert (result["file"], result["pointer"], result["got"]) == (str(file), "/tests/0", "ALLOW")


def test_the_starter_policies_pass_their_tests_and_nothing_is_odd_about_them() -> None:
    assert aegis("test", STARTER).code == 0
    assert aegis("check", STARTER).code == 0


def test_a_finding_says_where_why_and_what_to_do(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", policy("a", principals={"roles": ["sre"]}))
    said = aegis("check", tmp_path)
    assert said.code == 1
    assert "error unknown_role: a" in said.out
    assert f"{file}:7 (at /principals/roles/0): There is no role sre" in said.out
    assert "Known roles: " in said.out
    assert "1 error in 1 policy." in said.out


def test_further_roles_and_actions_can_be_named(tmp_path: Path) -> None:
    write(tmp_path / "a.json", policy("a", principals={"roles": ["sre"]}, actions=["deploy"]))
    assert aegis("check", tmp_path, "--role", "sre").code == 1
    assert aegis("check", tmp_path, "--role", "sre", "--action", "deploy").code == 0


def test_a_notice_that_nobody_here_can_give_is_an_error(tmp_path: Path) -> None:
    duty = {"type": "notify", "with": {"channel": "#prod"}}
    write(tmp_path / "a.json", policy("a", obligations=[duty]))
    assert "nobody_fulfils" in aegis("check", tmp_path).out


@pytest.mark.parametrize(("fail_on", "code"), [("error", 0), ("warning", 0), ("note", 1)])
def test_how_severe_a_finding_must_be_to_fail_is_chosen(tmp_path: Path, fail_on: str, code: int) -> None:
    write(tmp_path / "a.json", policy("a", actions=["*"]))
    said = aegis("check", tmp_path, "--fail-on", fail_on)
    assert "note every_action" in said.out
    assert said.code == code


def test_findings_as_json_name_their_file(tmp_path: Path) -> None:
    never: dict[str, Any] = {"all": [{"attr": "metadata.a", "op": "lt", "value": 1}] * 1}
    never["all"].append({"attr": "metadata.a", "op": "gt", "value": 2})
    file = write(tmp_path / "a.json", policy("a", conditions=never))
    said = aegis("check", tmp_path, "--json")
    assert said.code == 1
    assert {(one["file"], one["severity"]) for one in said.json()["findings"]} == {(str(file), "error")}


def test_the_document_that_is_explained_says_what_its_tests_say(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    explained, beside = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    write(tmp_path / "explained.yaml", explained)
    write(tmp_path / "all.test.yaml", beside)
    said = aegis("test", tmp_path)
    assert said.code == 0, said.out + said.err
    assert "3 tests in 2 files: all passed." in said.out
    assert aegis("check", tmp_path).code == 0
