"""The tour is held to what it tells: two runs of the real command at once, one story, and each chapter's facts.

Both runs share the machine, so that a story that depended on how busy it is would differ.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
AEGIS = (sys.executable, "-m", "aegis.cli", "demo")
PATIENCE = 280.0


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str
    left: list[str]  # in its temporary directory, afterwards

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    def facts(self, chapter: int) -> dict[str, Any]:
        facts: dict[str, Any] = self.document["chapters"][chapter - 1]["facts"]
        return facts


@dataclass(slots=True)
class Running:
    """The command with a temporary directory of its own, which the database's user may enter."""

    home: Path
    process: subprocess.Popen[str]

    @classmethod
    def start(cls, *options: str) -> Running:
        home = Path(tempfile.mkdtemp(prefix="aegis-tour-"))
        home.chmod(0o711)
        nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
        process = subprocess.Popen(
            [*AEGIS, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **nowhere, "TMPDIR": str(home)},
        )
        return cls(home, process)

    def end(self) -> Ran:
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
            return Ran(self.process.returncode, out, err, [path.name for path in self.home.iterdir()])
        finally:
            self.process.kill()
            shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="module")
def runs() -> Iterator[tuple[Ran, Ran]]:
    options = ("--no-pause", "--json", "--seed", "7", "--port", "0")
    both = Running.start(*options), Running.start(*options)
    try:
        yield both[0].end(), both[1].end()
    finally:
        for one in both:
            one.process.kill()
            one.process.wait()
            shutil.rmtree(one.home, ignore_errors=True)


@pytest.fixture(scope="module")
def ran(runs: tuple[Ran, Ran]) -> Ran:
    assert runs[0].code == 0, runs[0].err or runs[0].out
    return runs[0]


def test_the_same_seed_tells_the_same_story_to_the_letter(runs: tuple[Ran, Ran]) -> None:
    assert runs[0].out == runs[1].out
    assert runs[0].document["seed"] == 7


def test_every_claim_of_every_chapter_held(ran: Ran) -> None:
    chapters = ran.document["chapters"]
    assert [chapter["chapter"] for chapter in chapters] == [1, 2, 3, 4]
    assert [claim["sentence"] for one in chapters for claim in one["claims"] if not claim["held"]] == []
    assert ran.document["passed"]
    assert all(chapter["passed"] and chapter["claims"] and chapter["lines"] for chapter in chapters)


def test_it_says_nothing_but_its_story_and_leaves_nothing_behind(ran: Ran) -> None:
    assert ran.err == ""
    assert ran.left == []


def test_the_leak_is_found_explained_approved_fixed_and_helped(ran: Ran) -> None:
    facts = ran.facts(1)
    assert facts["class"] == "memory_leak"
    assert facts["reasons"]
    leaking = next(one for one in facts["evidence"] if one["signal"] == "memory_limit_ratio")
    assert leaking["value"] > leaking["expected"]
    assert facts["approved_by"] == ["ada@shop.example"]
    assert facts["fault_began"] < facts["found_at"] < facts["effect_at"] < facts["resolved_at"]
    assert facts["verdict"] == "helped"
    measure = next(one for one in facts["measures"] if one["signal"] == "memory_limit_ratio")
    assert measure["after"] < measure["before"]


def test_the_wrong_fix_is_undone_by_itself_to_the_identical_spec(ran: Ran) -> None:
    facts = ran.facts(2)
    assert facts["requested_by"] == "ravi@shop.example"
    assert facts["approved_by"] == ["ada@shop.example"]
    assert facts["verdict"] == "harmed"
    assert facts["undo_requested_by"] == "aegis"
    assert facts["states"][-4:] == ["harmed", "undoing", "undone", "closed"]
    assert facts["spec_before"]["replicas"] == 3
    assert facts["spec_between"] == facts["spec_before"] | {"replicas": 1}
    assert facts["spec_after"] == facts["spec_before"]


def test_of_forty_alerts_few_actions_come_and_each_refusal_names_its_budget(ran: Ran) -> None:
    facts = ran.facts(3)
    assert facts["alerts"] == facts["incidents"] == 40
    assert len(facts["acted_on"]) == 3
    assert facts["restarted_in_cluster"] == facts["acted_on"]
    assert set(facts["refusals"]) == {"storm"}
    assert all("budget of batch is used up" in sentence for sentence in facts["sentences"])


def test_the_genuine_fault_is_fixed_in_the_middle_of_the_storm_and_its_victims_are_left_alone(ran: Ran) -> None:
    facts = ran.facts(3)
    assert facts["genuine"]["verdict"] == "helped"
    assert facts["acted_on_in_shop"] == ["catalog"]


def test_the_edited_audit_row_is_named(ran: Ran) -> None:
    facts = ran.facts(4)
    assert facts["before"]["code"] == 0
    assert facts["before"]["sentence"].startswith("good: ")
    assert "append-only" in facts["refused"]
    assert facts["after"]["code"] == 1
    assert facts["after"]["sentence"] == f"TAMPERED: entry {facts['entry']} is not the entry that was witnessed there"


def test_a_taken_port_is_told_before_anything_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = Running.start("--no-pause", "--port", str(taken.getsockname()[1])).end()
    assert said.code == 7
    assert "Address already in use" in said.err
    assert said.out == ""
    assert said.left == []


def test_the_page_is_up_beside_the_terminal_and_being_told_to_end_leaves_nothing() -> None:
    running = Running.start("--no-pause", "--port", "0")
    assert running.process.stdout is not None
    told = iter(running.process.stdout.readline, "")
    url = next(line.split()[-1] for line in told if line.startswith("The page beside this terminal:"))
    assert httpx2.get(f"{url}/api/v1/auth/state", trust_env=False).json()["first_admin_needed"] is False
    assert "html" in httpx2.get(url, trust_env=False).headers["content-type"]
    running.process.terminate()
    said = running.end()
    assert said.code == 130
    assert said.left == []


def test_its_help_teaches_the_four_chapters() -> None:
    said = Running.start("--help").end()
    assert said.code == 0
    assert all(word in said.out for word in ("leak", "wrong fix", "storm of 40 alerts", "audit log", "--seed"))
