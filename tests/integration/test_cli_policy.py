"""`aegis policy` against a real API: what is in force, a directory applied as one, and what stops it before it is."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.support_api import Api, api
from tests.integration.support_policies import document

from aegis.cli.app import main
from aegis.cli.client import save_token

__all__ = ["api"]
pytestmark = pytest.mark.integration
ASK = {"principal": {"id": "aegis", "roles": ["aegis"]}, "action": "restart_deployment", "resource": "deployment/lab/x"}
LONG = [f"deployment/{'n' * 220}-{number:03}/*" for number in range(250)]
CASE = {"name": "a case", "at": "2026-03-03T12:00:00Z", "request": ASK}


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)


Aegis = Callable[..., Said]


@pytest.fixture
def aegis(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Aegis:
    """Runs `aegis policy …` in this process, logged in as an admin who may also read what was decided."""
    monkeypatch.setenv("AEGIS_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.delenv("AEGIS_URL", raising=False)
    save_token(api.person("admin", "auditor")[1], api.url)

    def run(*arguments: object, typed: str = "") -> Said:
        monkeypatch.setattr(sys, "argv", ["aegis", "policy", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return Said(int(code or 0), said.out, said.err)

    return run


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir()
    put(directory, document("lab", resources=["deployment/lab/*"]))
    return directory


def put(directory: Path, *documents: dict[str, Any]) -> None:
    for one in documents:
        (directory / f"{one['id']}.json").write_text(json.dumps(one))


def in_force(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.as_("admin").get("/policies/set").json()
    return found


def test_a_plan_is_shown_confirmed_and_applied_and_then_there_is_nothing_to_change(
    api: Api, aegis: Aegis, policies: Path
) -> None:
    before = in_force(api)
    planned = aegis("apply", policies, "--dry-run")
    assert planned.code == 0, planned.err
    assert f"+ create lab  ({policies / 'lab.json'})" in planned.out
    assert "ALLOW aegis: restart_deployment on deployment/lab/*" in planned.out
    assert "DENY → ALLOW: restart_deployment" in planned.out
    assert "Plan: 1 to create; 1 policy looked at." in planned.out
    assert "In force, and not in these files: api-admin, " in planned.out
    assert in_force(api) == before

    refused = aegis("apply", policies, typed="n\n")
    assert (refused.code, in_force(api)) == (1, before)
    done = aegis("apply", policies, "-m", "a lab", typed="y\n")
    assert done.code == 0, done.err
    assert "Applied: 1 change; set " in done.out
    assert in_force(api)["epoch"] == before["epoch"] + 1
    assert api.as_("admin").get("/policies/lab").json()["comment"] == "a lab"

    again = aegis("apply", policies)
    assert again.code == 0
    assert "Nothing to change: 1 policy in force as written." in again.out
    assert in_force(api)["epoch"] == before["epoch"] + 1


def test_what_changes_in_a_document_is_shown_line_by_line(aegis: Aegis, policies: Path) -> None:
    aegis("apply", policies, "--yes")
    put(policies, document("lab", resources=["deployment/lab/*", "deployment/test/*"]))
    said = aegis("apply", policies, "--yes")
    assert "~ update lab" in said.out
    assert "+- deployment/test/*" in said.out
    assert "Applied: 1 change" in said.out
    assert aegis("show", "lab").out.count("applied from policies") == 2


def test_pruning_takes_out_what_has_no_file_and_nobody_locks_everybody_out(
    api: Api, aegis: Aegis, policies: Path
) -> None:
    before = in_force(api)
    refused = aegis("apply", policies, "--prune", "--yes")
    assert refused.code == 6
    assert "- disable api-admin" in refused.out
    assert in_force(api) == before

    saved = aegis("list", "--save-to", policies)
    assert saved.code == 0, saved.err
    assert f"{before['policies']} documents written to {policies}." in saved.out
    (policies / "undo.yaml").unlink()
    plan = aegis("apply", policies, "--prune", "--dry-run", "--json").json()
    assert [(one["id"], one["what"]) for one in plan["changes"]] == [("lab", "create"), ("undo", "disable")]
    assert plan["left_alone"] == ["undo"]
    assert aegis("apply", policies, "--prune", "--yes").code == 0
    assert api.as_("admin").get("/policies/undo").json()["state"] == "disabled"


def test_a_failing_test_stops_it(api: Api, aegis: Aegis, policies: Path) -> None:
    before = in_force(api)
    put(policies, document("lab", resources=["deployment/lab/*"], tests=[CASE | {"expect": "DENY"}]))
    said = aegis("apply", policies, "--yes")
    assert said.code == 1
    assert "a case: expected DENY, got ALLOW" in said.out
    assert "Nothing was changed." in said.out
    (failed,) = aegis("apply", policies, "--yes", "--json").json()["failed_tests"]
    assert (failed["name"], failed["file"]) == ("a case", str(policies / "lab.json"))
    assert in_force(api) == before


def test_a_test_of_the_whole_set_is_asked_of_what_will_be_in_force(api: Api, aegis: Aegis, policies: Path) -> None:
    shut = document("shut", "DENY", resources=["deployment/lab/*"])
    assert api.as_("admin").post("/policies", json={"document": shut}).is_success
    (policies / "all.test.json").write_text(json.dumps({"tests": [CASE | {"expect": "ALLOW"}]}))
    assert aegis("test", policies).code == 0
    said = aegis("apply", policies, "--yes")
    assert said.code == 1
    assert "policy shut denies restart_deployment on deployment/lab/x." in said.out


def test_an_error_that_the_check_finds_stops_it(aegis: Aegis, policies: Path) -> None:
    put(policies, document("lab", principals={"roles": ["sre"]}))
    said = aegis("apply", policies, "--yes")
    assert said.code == 1
    assert "error unknown_role: lab" in said.out
    assert aegis("apply", policies, "--yes", "--role", "sre").code == 0


def test_a_warning_is_shown_with_the_plan(aegis: Aegis, policies: Path) -> None:
    put(policies, document("lab", principals={"roles": ["*"]}))
    said = aegis("apply", policies, "--yes")
    assert said.code == 0, said.err
    assert "warning every_role: lab" in said.out
    assert "1 warning in 1 policy." in said.out


def test_what_the_server_refuses_is_told_with_its_file(aegis: Aegis, policies: Path) -> None:
    names = ",".join(f"deployment/{'n' * 236}-{number:03}/*" for number in range(256))
    rest = "effect: DENY\nprincipals: {roles: [aegis]}\nactions: [restart_deployment]\n"
    (policies / "large.yaml").write_text(f"apiVersion: aegis.dev/v1\nid: large\n{rest}resources: [{names}]\n")
    said = aegis("apply", policies, "--yes")
    assert said.code == 2
    assert f"aegis: {policies / 'large.yaml'}: a policy has at most 65536 bytes; this has " in said.err


def test_more_than_the_server_takes_at_once_is_told_with_what_to_do(aegis: Aegis, policies: Path) -> None:
    put(policies, *(document(f"large-{number}", resources=LONG) for number in range(20)))
    said = aegis("apply", policies, "--yes")
    assert said.code == 2
    assert said.err == "aegis: at most 1048576 bytes are accepted. Name fewer files at a time, without --prune.\n"


def test_json_asks_nothing(aegis: Aegis, policies: Path) -> None:
    assert aegis("apply", policies, "--json").code == 2
    assert aegis("apply", policies, "--json", "--yes").json()["applied"] is True


def test_policies_are_listed_with_who_changed_them(aegis: Aegis) -> None:
    said = aegis("list")
    assert said.code == 0, said.err
    assert "heal-production" in said.out
    assert "policies in force, set " in said.out
    document = aegis("list", "--json").json()
    assert {"digest", "epoch"} <= set(document["set"])
    assert all(one["state"] == "active" for one in document["items"])


def test_one_policy_is_shown_in_words_with_its_history(aegis: Aegis, policies: Path) -> None:
    aegis("apply", policies, "--yes", "-m", "first")
    put(policies, document("lab", "DENY", resources=["deployment/lab/*"]))
    aegis("apply", policies, "--yes", "-m", "second")
    shown = aegis("show", "lab")
    assert shown.code == 0, shown.err
    assert "lab  version 2  active" in shown.out
    assert "DENY aegis: restart_deployment on deployment/lab/*" in shown.out
    assert [line.split()[-1] for line in shown.out.splitlines()[-2:]] == ["second", "first"]
    old = aegis("show", "lab", "--version", "1")
    assert "lab  version 1  not in force" in old.out
    assert "effect: ALLOW" in aegis("show", "lab", "--version", "1", "--yaml").out
    assert aegis("show", "lab", "--json").json()["document"]["effect"] == "DENY"
    assert aegis("show", "ghost").code == 5


def test_what_is_in_force_explains_itself_and_is_compared(aegis: Aegis, policies: Path, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps(ASK))
    assert "DENY (default_deny)" in aegis("why", request).out
    assert "lab" in aegis("why", request, "-p", policies).out
    assert "it is allowed" in aegis("why-not", request).out
    compared = aegis("diff", policies)
    assert compared.code == 1
    assert "Added: lab." in compared.out
    assert "Removed" not in compared.out
    assert "Removed: api-admin" in aegis("diff", policies, "--prune").out


def test_somebody_who_may_not_write_is_told_so(api: Api, aegis: Aegis, policies: Path) -> None:
    save_token(api.person("viewer")[1], api.url)
    assert aegis("apply", policies, "--yes").code == 4
    assert aegis("list").code == 0


def test_the_server_decides_the_past_again_and_what_opens_stops_a_pipeline(
    api: Api, aegis: Aegis, policies: Path
) -> None:
    viewer = api.as_("viewer")
    assert viewer.get("/state").is_success
    assert viewer.post("/safety/stop", json={"reason": "trying"}).status_code == 403
    unchanged = aegis("backtest", policies, "--since", "2026-02-01")
    assert unchanged.code == 0, unchanged.err
    assert "0 flips (0 opening), 0 cannot be replayed." in unchanged.out

    everything = document("loose", principals={"roles": ["viewer"]}, actions=["*"], resources=["api/*"])
    put(policies, everything)
    said = aegis("backtest", policies, "--since", "2026-02-01")
    assert said.code == 1
    assert "DENY → ALLOW  2026-03-01T12:00:00  viewer@example.org: safety:stop on api/safety/stop" in said.out
    assert "1 flip (1 opening)" in said.out
    assert aegis("backtest", policies, "--since", "2026-02-01", "--allow-loosening").code == 0
    alone = aegis("backtest", policies, "--since", "2026-02-01", "--prune", "--json").json()
    assert alone["flips"]["deny_to_allow"] == 1
    assert alone["flips"]["allow_to_deny"] > 0


def test_a_backtest_that_is_given_up_here_is_given_up_there(
    api: Api, aegis: Aegis, policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aegis.cli.policy.replaying.time.sleep", interrupt)
    said = aegis("backtest", policies, "--since", "2026-02-01")
    assert said.code == 130
    with api.database.begin() as conn:
        (job_id,) = conn.exec_driver_sql("SELECT id FROM policy_jobs").scalars()
    state = api.as_("auditor").get(f"/policies/backtests/{job_id}").json()["state"]
    assert state in ("interrupted", "done")  # it may have been quicker


def test_what_was_asked_is_listed_and_exported_to_be_decided_again_elsewhere(
    api: Api, aegis: Aegis, policies: Path, tmp_path: Path
) -> None:
    viewer = api.as_("viewer")
    assert viewer.post("/safety/stop", json={"reason": "trying"}).status_code == 403
    denied = aegis("audit", "--effect", "deny")
    assert denied.code == 0, denied.err
    assert "viewer@example.org (viewer)" in denied.out
    assert "safety:stop on api/safety/stop" in denied.out
    assert "Nothing was asked that fits." in aegis("audit", "--policy", "ghost").out
    first = aegis("audit", "--limit", "1", "--json").json()
    assert len(first["items"]) == 1
    assert aegis("audit", "--limit", "1", "--cursor", first["next_cursor"], "--json").json()["items"] != first["items"]
    assert aegis("audit", "--effect", "maybe").code == 2

    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps(aegis("audit", "--effect", "deny", "--json").json()["items"][0]["facts"]))
    assert "DENY (default_deny)" in aegis("why", facts).out

    file = tmp_path / "decisions.ndjson"
    exported = aegis("audit", "--export", file)
    assert exported.code == 0, exported.err
    assert f"decisions written to {file}." in exported.out
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {(one["principal"], one["effect"]) for one in lines} >= {("viewer@example.org", "deny")}
    assert aegis("list", "--save-to", policies).code == 0
    again = aegis("backtest", policies, "--from", file, "--since", "2026-02-01")
    assert again.code == 0, again.err
    assert f"{len(lines)} decisions since 2026-02-01 decided again" in again.out
