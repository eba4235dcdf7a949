"""The supervisor starts parts, starts crashed ones again, says why one cannot run, and leaves nobody behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aegis.cli.supervise import last_words

pytestmark = pytest.mark.integration

SCRIPT = """
import os, pathlib, signal, sys
from aegis.cli.supervise import Part, Supervisor
from aegis.kit.errors import AegisError, Invalid

home = pathlib.Path(sys.argv[1])
kind = sys.argv[2]

def say(line): print(line, flush=True)

def live(name):
    def run():
        if name == kind == "refuses":
            raise Invalid("bad", "The setting is wrong.")
        if kind == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (home / name).write_text(str(os.getpid()))
        say_to = home / f"{name}.starts"
        say_to.write_text(say_to.read_text() + "x" if say_to.exists() else "x")
        signal.pause()
    return run

names = ["first", "second"] + (["refuses"] if kind == "refuses" else [])
parts = [Part(name, live(name), lambda name=name: (home / name).exists()) for name in names]
supervisor = Supervisor(parts, home, say)
supervisor.block_signals()
try:
    supervisor.start()
    say("all ready")
    supervisor.watch()
except AegisError as error:
    say(f"failed: {error}")
finally:
    supervisor.stop()
    say("stopped")
"""


def test_the_last_words_of_a_log_are_read_from_its_end_alone(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("ab") as file:
        file.truncate(1 << 36)  # more than any memory holds
        file.write(b"\nit began\nThis is the end.\n\n")
    assert last_words(log) == "This is the end"


@contextmanager
def supervised(home: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SCRIPT, str(home), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying {words!r}")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_sigterm_stops_every_part_in_order(tmp_path: Path) -> None:
    with supervised(tmp_path, "calm") as process:
        _until(process, "all ready")
        pids = [int((tmp_path / name).read_text()) for name in ("first", "second")]
        process.send_signal(signal.SIGTERM)
        _until(process, "stopped")
        assert process.wait(20) == 0
    assert not any(_alive(pid) for pid in pids)


def test_a_crashed_part_is_started_again_and_this_is_said(tmp_path: Path) -> None:
    with supervised(tmp_path, "calm") as process:
        _until(process, "all ready")
        (tmp_path / "first.starts").unlink()
        os.kill(int((tmp_path / "first").read_text()), signal.SIGKILL)
        assert "first was killed by SIGKILL" in _until(process, "starts again in 0.5 s")
        while not (tmp_path / "first.starts").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _until(process, "stopped")


def test_a_part_that_refuses_its_settings_ends_the_start_with_its_sentence(tmp_path: Path) -> None:
    with supervised(tmp_path, "refuses") as process:
        assert "The setting is wrong" in _until(process, "failed:")
        _until(process, "stopped")


def test_a_second_ctrl_c_kills_what_does_not_stop(tmp_path: Path) -> None:
    with supervised(tmp_path, "stubborn") as process:
        _until(process, "all ready")
        pids = [int((tmp_path / name).read_text()) for name in ("first", "second")]
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _until(process, "killing second, first")
        _until(process, "stopped")
    assert not any(_alive(pid) for pid in pids)


def test_no_part_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with supervised(tmp_path, "calm") as process:
        _until(process, "all ready")
        pids = [int((tmp_path / name).read_text()) for name in ("first", "second")]
        process.kill()
        process.wait()
        while any(_alive(pid) for pid in pids):
            pass
