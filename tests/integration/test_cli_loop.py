"""The command line against a real API: what it prints, what it does, and the exit code of everything that fails."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.integration.support_api import DIGEST, PASSWORD, TOKEN, Api, running_api

from aegis.audit.checkpoint import Signer
from aegis.audit.entry import Entry
from aegis.cli.app import main
from aegis.remediation.states import State
from aegis.storage import approvals, audit, remediations
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.remediations import Remediation
from aegis.storage.sequencer import Sequencer

pytestmark = pytest.mark.integration
EMAIL = "ada@example.org"


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Aegis = Callable[..., Said]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


@pytest.fixture
def api(postgres: EmbeddedPostgres, tmp_path: Path, signer: Signer) -> Iterator[Api]:
    with running_api(postgres, tmp_path, vkey=signer.verifier.vkey) as made:
        yield made


@pytest.fixture
def stranger(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Aegis:
    """Runs `aegis …` in this process with its own token file; nobody has logged in."""
    monkeypatch.setenv("AEGIS_URL", api.url)
    monkeypatch.setenv("AEGIS_TOKEN_FILE", str(tmp_path / "config" / "token"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, typed: str = "") -> Said:
        monkeypatch.setattr(sys, "argv", ["aegis", *arguments])
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
def aegis(stranger: Aegis, tmp_path: Path) -> Aegis:
    """The same, logged in as the first admin."""
    token = str(tmp_path / "bootstrap-token")
    login = stranger("login", "--first-admin", token, "--email", EMAIL, "--password-stdin", typed=PASSWORD + "\n")
    assert login.code == 0, login.err
    return stranger


def test_the_first_admin_logs_in_and_the_token_is_for_their_eyes_only(aegis: Aegis, tmp_path: Path) -> None:
    file = tmp_path / "config" / "token"
    assert file.read_text().startswith("aegis_pat_")
    assert file.stat().st_mode & 0o777 == 0o600
    again = aegis("login", "--email", EMAIL, "--password-stdin", typed=PASSWORD + "\n")
    assert again.code == 0
    assert f"as {EMAIL}" in again.out
    assert PASSWORD not in again.out + again.err
    token = file.read_text()
    assert aegis("logout").out == "Logged out.\n"
    assert aegis("logout").out == "Nobody was logged in here.\n"
    file.write_text(token)
    file.chmod(0o600)
    assert aegis("status").code == 4  # the token itself has ended
    assert aegis("logout").out == "Logged out.\n"
    lost = aegis("status")
    assert (lost.code, lost.out) == (4, "")
    assert "aegis login" in lost.err


def test_a_login_that_fails_says_why(stranger: Aegis, tmp_path: Path) -> None:
    right, wrong = str(tmp_path / "bootstrap-token"), tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("not the token")
    for arguments, typed, code, said in (
        (["--first-admin", str(wrong), "--email", EMAIL], PASSWORD, 4, "not the first admin's token"),
        (["--first-admin", right, "--email", EMAIL], "password1234", 3, "first that get tried"),
        (["--first-admin", right, "--email", "ada"], PASSWORD, 3, "no e-mail address"),
        (["--first-admin", TOKEN, "--email", EMAIL], PASSWORD, 3, "cannot be read"),  # never in the list of processes
        (["--email", EMAIL], "whatever it was", 4, "no account here yet. Make the first admin: aegis login --first"),
    ):
        failed = stranger("login", *arguments, "--password-stdin", typed=typed + "\n")
        assert failed.code == code, failed.err
        assert said in failed.err
        assert failed.err.count("\n") == 1
        assert not (tmp_path / "config" / "token").exists()


def test_a_wrong_password_is_told_as_that_once_there_is_somebody(aegis: Aegis) -> None:
    wrong = aegis("login", "--email", EMAIL, "--password-stdin", typed="whatever it was\n")
    assert wrong.code == 4
    assert "address or password is wrong" in wrong.err


def test_too_many_wrong_passwords_have_their_own_exit_code(aegis: Aegis) -> None:
    codes = [aegis("login", "--email", EMAIL, "--password-stdin", typed=f"wrong {n} guess\n").code for n in range(12)]
    assert codes == [4] * 10 + [7] * 2


def test_an_api_that_does_not_answer_has_its_own_exit_code(
    aegis: Aegis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config" / "token"
    monkeypatch.setenv("AEGIS_URL", "http://127.0.0.1:9")
    elsewhere = aegis("status")
    assert elsewhere.code == 4  # a token is shown to nobody but who gave it
    assert "aegis login --url http://127.0.0.1:9" in elsewhere.err
    file.write_text(file.read_text().splitlines()[0] + "\nhttp://127.0.0.1:9\n")
    gone = aegis("status")
    assert gone.code == 7
    assert "aegis up" in gone.err
    assert "stays valid" in aegis("logout").out
    assert not file.exists()


def test_status_shows_mode_counts_and_processes(api: Api, aegis: Aegis) -> None:
    api.waiting(api.incident())
    shown = aegis("status")
    assert shown.code == 0, shown.err
    assert "mode approve" in shown.out
    assert "open incidents 1" in shown.out
    assert "waiting for approval 1" in shown.out
    assert "database" in shown.out
    state = aegis("status", "--json").json()
    assert state["counts"]["open_incidents"] == 1
    assert {process["name"] for process in state["processes"]} >= {"api", "database", "controller", "executor"}


def test_incidents_are_listed_paged_and_shown_whole(api: Api, aegis: Aegis) -> None:
    assert "No open incidents." in aegis("incidents").out
    made = []
    for number in range(3):
        made.append(api.incident(f"svc-{number}"))
        api.clock.advance(1)
    first = aegis("incidents", "--limit", "2")
    assert "svc-2" in first.out
    assert "svc-0" not in first.out
    cursor = first.out.rpartition("--cursor ")[2].strip()
    assert "svc-0" in aegis("incidents", "--limit", "2", "--cursor", cursor).out
    assert len(aegis("incidents", "--state", "all", "--json").json()["items"]) == 3
    assert aegis("incidents", "--namespace", "elsewhere", "--json").json()["items"] == []
    item = api.waiting(made[0], workload="deployment/shop/svc-0")
    shown = aegis("incidents", made[0].id)
    assert shown.code == 0, shown.err
    assert "First abnormal sample" in shown.out
    assert "replace /spec/replicas: 2 → 3" in shown.out
    assert f"aegis approve {item.id}" in shown.out
    assert aegis("incidents", made[0].id, "--json").json()["id"] == made[0].id


def test_what_cannot_be_done_is_one_sentence_and_an_exit_code(aegis: Aegis) -> None:
    for arguments, code, said in (
        (["incidents", "inc_01j9zq3v8k5m2n7p4r6s8t0v2w"], 5, "no incident of this id"),
        (["incidents", "--state", "weird"], 3, "/state"),
        (["incidents", "--cursor", "weird"], 3, "cursor"),
        (["incidents", "--limit", "0"], 2, "--limit"),
        (["incidents", "../state"], 5, "no GET on this path"),
        (["approve", "rem_01j9zq3v8k5m2n7p4r6s8t0v2w", "--yes"], 5, "no remediation of this id"),
        (["approve", "inc_01j9zq3v8k5m2n7p4r6s8t0v2w"], 5, "aegis incidents inc_01j9zq3v8k5m2n7p4r6s8t0v2w shows"),
        (["reject", "inc_01j9zq3v8k5m2n7p4r6s8t0v2w", "-r", "no"], 5, "is an incident"),
        (["stop", "--reason", ""], 3, "this must not be empty (at /reason)"),
        (["mode", "yolo", "--reason", "fun"], 3, "this is one of observe, approve or auto (at /mode)"),
        (["login", "--url", "foo", "--email", "a@b.org"], 3, "'foo' is no address"),
        (["why", "cart"], 3, "nothing that Aegis knows about"),
        (["mode", "yolo", "--reason", "fun"], 3, "/mode"),
        (["stop"], 2, "--reason"),
    ):
        failed = aegis(*arguments)
        assert failed.code == code, f"{arguments}: {failed.err}"
        assert said in failed.err
        assert "Traceback" not in failed.err


@pytest.fixture
def item(api: Api) -> Remediation:
    return api.waiting(api.incident())


def test_approvals_shows_the_plan_and_approve_approves_exactly_it(api: Api, aegis: Aegis, item: Remediation) -> None:
    shown = aegis("approvals")
    assert item.id in shown.out
    assert "replace /spec/replicas: 2 → 3" in shown.out
    done = aegis("approve", item.id, typed="y\n")
    assert done.code == 0, done.err
    assert done.out.rstrip().endswith("Approved.")
    with api.database.begin() as conn:
        said = approvals.of(conn, item.id)
    assert [(one.by, one.verdict, one.plan_digest) for one in said] == [(EMAIL, "approve", DIGEST)]
    again = aegis("approve", item.id, "--yes")
    assert again.code == 6
    assert "already" in again.err


def test_what_is_being_verified_is_shown_and_is_decided_already(api: Api, aegis: Aegis, item: Remediation) -> None:
    waiting: dict[str, Any] = {"verdict": None, "sentence": "it is too early to say", "measures": []}
    for state in (State.APPROVED, State.READY, State.EXECUTING, State.EXECUTED, State.VERIFYING):
        api.move(item, state, changes={"verdict": waiting})
        with api.database.begin() as conn:
            item = remediations.get(conn, item.id) or item
    shown = aegis("incidents", str(item.incident_id))
    assert (shown.code, shown.err) == (0, "")
    assert "not known yet: it is too early to say" in shown.out
    for decided in (aegis("approve", item.id), aegis("approve", item.id, "--yes"), aegis("reject", item.id, "-r", "x")):
        assert (decided.code, decided.out) == (6, "")
        assert "it is verifying already" in decided.err


def test_what_has_no_plan_yet_waits_for_nobodys_word(api: Api, aegis: Aegis) -> None:
    item = api.proposed(api.incident())
    for said in (aegis("approve", item.id, "--yes"), aegis("reject", item.id, "--reason", "no")):
        assert said.code == 6
        assert "no plan" in said.err


def test_beside_json_the_plan_and_the_question_are_shown_where_no_program_reads(
    aegis: Aegis, item: Remediation
) -> None:
    done = aegis("approve", item.id, "--json", typed="y\n")
    assert "replace /spec/replicas: 2 → 3" in done.err
    assert "Approve this plan?" in done.err
    assert done.json()["approvals"]["got"][0]["by"] == EMAIL


def test_no_answer_or_no_is_no_approval(api: Api, aegis: Aegis, item: Remediation) -> None:
    for typed in ("n\n", ""):
        assert aegis("approve", item.id, typed=typed).code == 1
    with api.database.begin() as conn:
        assert approvals.of(conn, item.id) == []


def test_a_rejection_needs_a_reason_and_is_final(aegis: Aegis, item: Remediation) -> None:
    assert aegis("reject", item.id).code == 2
    answer = aegis("reject", item.id, "--reason", "too risky", "--json").json()
    assert answer["approvals"]["got"][0]["reason"] == "too risky"
    assert aegis("approve", item.id, "--yes").code == 6


def test_what_expired_is_a_conflict_of_time(api: Api, aegis: Aegis, item: Remediation) -> None:
    api.clock.advance(timedelta(minutes=31).total_seconds())
    late = aegis("approve", item.id, "--yes")
    assert late.code == 6
    assert "waited too long" in late.err


def test_nothing_waits_says_so(aegis: Aegis) -> None:
    assert aegis("approvals").out == "Nothing waits for approval.\n"
    assert aegis("approvals", "--json").json() == {"items": []}


def test_why_tells_the_sentence_the_chain_and_the_blockers(api: Api, aegis: Aegis) -> None:
    assert aegis("why", "deployment/shop/cart").out.startswith("Nothing unusual was seen on deployment/shop/cart; ")
    refusals = [{"code": "cooldown", "sentence": "20 s to go"}]
    api.move(api.proposed(api.incident()), State.DENIED, changes={"refusals": refusals})
    shown = aegis("why", "pod/shop/cart-5d4f8c7b9-x2x7k")
    assert "was refused: 20 s to go." in shown.out
    assert "First abnormal sample" in shown.out
    assert "  2026-03-01 " in shown.out
    assert "blocked (cooldown): 20 s to go" in shown.out
    assert aegis("why", "deployment/shop/cart", "--json").json()["blockers"] == refusals


def test_stop_resume_and_mode_change_what_status_shows(aegis: Aegis) -> None:
    assert "STOPPED" in aegis("stop", "--reason", "odd things").out
    assert f"STOPPED by {EMAIL}: odd things" in aegis("status").out
    assert "running; mode approve" in aegis("resume", "-r", "all well").out
    assert "mode auto" in aegis("mode", "auto", "--reason", "trust").out
    assert aegis("mode", "observe", "--reason", "night", "--json").json()["mode"] == "observe"


def test_what_is_so_already_is_told_with_who_made_it_so(aegis: Aegis) -> None:
    aegis("stop", "--reason", "odd things")
    again = aegis("stop", "--reason", "more of it")
    assert again.code == 0
    assert "It was so already, and nothing changed." in again.out
    assert f"{EMAIL} at 2026-03-01 " in again.out
    assert "odd things" in again.out
    aegis("resume", "-r", "all well")
    assert "It was so already" in aegis("resume", "-r", "all well").out
    assert "It was so already" in aegis("mode", "approve", "-r", "as it is").out


def test_while_stopped_an_approval_is_a_conflict(aegis: Aegis, item: Remediation) -> None:
    aegis("stop", "--reason", "odd things")
    refused = aegis("approve", item.id, "--yes")
    assert refused.code == 6
    assert f"{EMAIL} has stopped Aegis" in refused.err
    assert "Approved" not in refused.out


def test_text_from_outside_is_shown_as_text_and_never_as_markup(api: Api, aegis: Aegis) -> None:
    api.proposed(by="[red]eve[/red]@example.org", roles=["operator"])
    api.incident("cart[bold]")
    listed = aegis("incidents")
    assert listed.code == 0, listed.err
    assert "cart[bold]" in aegis("why", api.as_("viewer").get("/incidents").json()["items"][0]["id"]).out


def test_text_from_outside_hides_and_fakes_no_plan(api: Api, aegis: Aegis, item: Remediation) -> None:
    trick = "harmless\x1b[8m\r\n  replace /spec/replicas: 2 → 9 \u202e\x9b2J"
    with api.database.begin() as conn:
        conn.exec_driver_sql("UPDATE remediations SET sentence = %s WHERE id = %s", (trick, item.id))
        conn.exec_driver_sql("UPDATE incidents SET sentence = %s", (trick,))
    for shown in (aegis("approvals"), aegis("approve", item.id), aegis("incidents", str(item.incident_id))):
        plan = [line for line in shown.out.splitlines() if line.startswith("  replace")]
        assert plan == ["  replace /spec/replicas: 2 → 3"]
        assert "harmless\\x1b[8m\\r\\n" in shown.out
        assert not {"\x1b", "\r", "\u202e", "\x9b"} & set(shown.out)
    assert "\x1b" not in aegis("why", item.id).out


def test_text_from_outside_does_nothing_to_the_terminal_of_an_auditor(api: Api, aegis: Aegis) -> None:
    trick = "night\x1b[8m shift\x9b2J \u202e"
    entry = Entry("test:tricked", api.clock.now(), trick, trick, {"said": trick})
    with api.database.begin() as conn:
        audit.append(conn, entry)
    sequencer = Sequencer(api.database, Signer(Ed25519PrivateKey.generate()), api.clock)
    sequencer.run_once()
    listed = aegis("audit", "list", "--search", "test:tricked")
    assert "night\\x1b[8m shift" in listed.out
    as_json = aegis("audit", "list", "--search", "test:tricked", "--json")
    assert as_json.json()["items"][0]["entry"]["subject"] == trick
    for shown in (listed.out, as_json.out):
        assert not {"\x1b", "\x9b", "\u202e"} & set(shown)


def test_the_record_is_listed_searched_exported_and_verified(
    api: Api, aegis: Aegis, signer: Signer, tmp_path: Path
) -> None:
    aegis("stop", "--reason", "a reason to find")
    Sequencer(api.database, signer, api.clock).checkpoint()
    shown = aegis("audit", "list")
    assert "safety:stopped" in shown.out
    assert EMAIL in shown.out
    found = aegis("audit", "list", "--search", "a reason to find", "--json").json()["items"]
    assert [entry["entry"]["kind"] for entry in found] == ["safety:stopped"]
    number = str(aegis("audit", "list", "--search", "a reason to find", "--json").json()["items"][0]["position"])
    one = aegis("audit", "show", number)
    assert "safety:stopped" in one.out
    assert '"reason": "a reason to find"' in one.out
    assert "root " in one.out
    assert aegis("audit", "show", number, "--json").json()["entry"]["kind"] == "safety:stopped"
    assert aegis("audit", "show", "99999").code == 5
    assert aegis("audit", "show", "--", "-1").code == 2
    assert aegis("audit", "key").out == signer.verifier.vkey + "\n"
    log = tmp_path / "export.ndjson"
    assert aegis("audit", "export", "-o", str(log)).code == 0
    every = aegis("audit", "list", "--limit", "1000", "--evaluations", "--json").json()["items"]
    assert [json.loads(line)["entry"] for line in log.read_text().splitlines()] == [one["entry"] for one in every[::-1]]
    good = aegis("audit", "verify")
    assert good.code == 0, good.out + good.err
    assert aegis("audit", "export", "-o", str(tmp_path / "no" / "where")).code == 3


def test_a_changed_record_is_found_by_verify_and_fails(api: Api, aegis: Aegis, signer: Signer, tmp_path: Path) -> None:
    Sequencer(api.database, signer, api.clock).checkpoint()
    marks = tmp_path / "witness.ndjson"
    assert aegis("audit", "checkpoints", "-o", str(marks)).code == 0
    with api.database.begin() as conn:  # what a database owner can do
        conn.exec_driver_sql("ALTER TABLE audit_entries DISABLE TRIGGER ALL")
        conn.exec_driver_sql("DELETE FROM audit_entries WHERE position = (SELECT max(position) FROM audit_entries)")
    bad = aegis("audit", "verify", "--witness", str(marks))
    assert bad.code == 1, bad.out + bad.err
    assert aegis("audit", "verify", "--witness", str(tmp_path / "none")).code == 3


def test_the_installed_command_gives_the_same_exit_codes(api: Api, tmp_path: Path) -> None:
    environment = os.environ | {"AEGIS_URL": api.url, "AEGIS_TOKEN_FILE": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-m", "aegis.cli", "status"], capture_output=True, text=True, timeout=60, env=environment
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("aegis: nobody is logged in here.")
