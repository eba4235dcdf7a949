"""`aegis up` says in one sentence why it cannot start, and deletes only what is its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aegis.cli.installation import Installation
from aegis.kit.errors import Conflict

pytestmark = pytest.mark.integration


def up(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AEGIS_")}
    command = [sys.executable, "-m", "aegis.cli", "up", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def _one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode not in (0, 1)
    assert done.stderr.startswith("aegis: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _one_sentence(
            up("--data-dir", tmp_path / "data", "--port", str(port)), f"port {port}", "--port 0", "UP_FLAGS='--port 0'"
        )
        other = up("--data-dir", tmp_path / "data", "--port=0", "--engine-port", str(port))
        _one_sentence(other, f"port {port}", "aegis up --engine-port 0")


@pytest.mark.parametrize("option", ["--port", "--engine-port", "--executor-port", "--kube-port", "--metrics-port"])
def test_what_is_no_port_is_wrong_usage(tmp_path: Path, option: str) -> None:
    done = up("--data-dir", tmp_path / "data", option, "99999")
    assert done.returncode == 2
    assert option in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_that_cannot_be_written_is_named() -> None:
    _one_sentence(up("--data-dir", "/proc/aegis"), "/proc/aegis cannot be written", "--data-dir")


def test_a_directory_with_other_files_is_never_used_or_wiped(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    _one_sentence(up("--data-dir", tmp_path, "--reset", "--yes"), "not Aegis's")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_directory_that_others_may_change_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "data"
    home.mkdir()
    home.chmod(0o777)
    _one_sentence(up("--data-dir", home), "by others than you")
    assert list(home.iterdir()) == []


def test_half_a_real_cluster_is_refused(tmp_path: Path) -> None:
    done = up("--data-dir", tmp_path / "data", "--prometheus", "http://127.0.0.1:9090")
    _one_sentence(done, "--kubeconfig and --namespaces")


def test_one_directory_has_one_owner(tmp_path: Path) -> None:
    first, second = Installation(tmp_path / "data"), Installation(tmp_path / "data")
    first.take()
    with pytest.raises(Conflict, match="another Aegis is running"):
        second.take()
    with pytest.raises(Conflict, match="another Aegis is running"):
        second.wipe()
    first.release()
    second.take()
    second.release()


def test_a_reset_removes_what_aegis_made_and_nothing_else(tmp_path: Path) -> None:
    home = Installation(tmp_path / "data")
    home.take()
    home.keys.generate()
    token = home.first_admin_token()
    home.release()
    (home.root / "notes.txt").write_text("mine")
    home.wipe()
    assert {path.name for path in home.root.iterdir()} == {"notes.txt", "lock", "aegis-data"}
    home.take()
    assert home.first_admin_token() != token
    home.release()
