"""The command line is quick to start, lists what exists, and turns expected failures into one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aegis.cli import app as cli
from aegis.kit.errors import Conflict, Invalid, Unavailable


def _aegis(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "aegis.cli", *arguments], capture_output=True, text=True, timeout=60)


def test_help_imports_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "from aegis.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "names = {'numpy', 'fastapi', 'sqlalchemy', 'sklearn', 'httpx2', 'cryptography', 'pydantic'}\n"
        "heavy = names & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "kill switch" in done.stdout


@pytest.mark.parametrize("lazy", cli.COMMANDS, ids=lambda lazy: lazy.name)
def test_every_listed_command_exists(lazy: cli.Lazy) -> None:
    assert cli.load(lazy) is not None


@pytest.mark.parametrize("command", [[], ["up"], ["incidents"], ["sandbox"], ["sandbox", "fault", "start"], ["policy"]])
def test_help_shows_no_flag_as_if_it_took_a_value(command: list[str]) -> None:
    done = _aegis(*command, "--help")
    assert done.returncode == 0, done.stderr
    assert "-h" in done.stdout
    assert "bool" not in done.stdout


def test_help_breaks_lines_where_the_terminal_does_and_keeps_lists() -> None:
    said = " ".join(_aegis("up", "--help").stdout.split())
    assert "With --prometheus, --kubeconfig and --namespaces: the same loop" in said
    lines = [line.strip() for line in _aegis("up", "--help").stdout.splitlines()]
    assert "With --prometheus," not in lines
    assert any(
        line.startswith("2. A wrong fix") for line in map(str.strip, _aegis("demo", "--help").stdout.split("\n"))
    )
    assert "remediation's id" in " ".join(_aegis("why", "--help").stdout.split())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Invalid("bad", "That is wrong.", hint="Do this."), 3),
        (Conflict("busy", "Somebody else is there"), 6),
        (Unavailable("gone", "Nobody answers."), 7),
    ],
)
def test_an_expected_failure_is_one_sentence_and_a_documented_exit_code(
    error: Invalid, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.fail(error) == code
    said = capsys.readouterr().err
    assert said.startswith("aegis: ")
    assert said.count("\n") == 1
    assert error.message.rstrip(".") in said


def test_what_a_failure_quotes_does_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cli.fail(Invalid("bad", "no user \x1b[8m\u202eeve\n\x9b2J"))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not {"\x1b", "\x9b", "\u202e"} & set(said)


def test_a_misspelt_command_gets_a_suggestion() -> None:
    done = _aegis("incidnts")
    assert done.returncode == 2
    assert "incidents" in done.stderr


def test_an_expected_failure_shows_no_traceback(tmp_path: Path) -> None:
    done = _aegis("keys", "check", str(tmp_path))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
