"""`aegis sandbox` against a running one: what it prints, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

from aegis.cli.sandbox import app
from aegis.kit.clock import ManualClock
from aegis.kit.errors import AegisError, Conflict, Invalid, NotFound, Unavailable
from aegis.kit.serving import BackgroundServer
from aegis.sandbox import server
from aegis.sandbox.process import open_world
from aegis.sandbox.settings import SandboxSettings
from aegis.sandbox.world import Sandbox

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    sandbox = Sandbox(ManualClock(datetime(2026, 3, 3, 12, tzinfo=UTC)), history=timedelta(minutes=2))
    with BackgroundServer(server.create_app(sandbox)) as served:
        yield served.url


def aegis(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--url", url], env={"COLUMNS": "200"})


def refusal(result: Result) -> AegisError:
    """What the one error handler of `aegis` turns into a sentence and an exit code."""
    assert isinstance(result.exception, AegisError), result.output
    return result.exception


def test_a_fault_is_started_shown_and_stopped(url: str) -> None:
    started = aegis(url, "fault", "start", "memory_leak")
    assert started.exit_code == 0, started.output
    assert "fault-1: memory_leak on deployment/shop/cart" in started.stdout
    assert "What heals it: restart_deployment or restart_pod" in started.stdout
    shown = aegis(url, "fault", "list").stdout
    assert "fault-1" in shown
    assert "memory_leak" in shown
    assert "fault-1" in aegis(url, "state").stdout
    assert aegis(url, "fault", "stop", "fault-1").stdout == "fault-1 stopped.\n"
    assert aegis(url, "fault", "list").stdout == "No fault is running.\n"


def test_everything_is_there_as_json(url: str) -> None:
    made = json.loads(aegis(url, "fault", "start", "error_burst", "cart", "--strength", "0.5", "--json").stdout)
    assert made == made | {"kind": "error_burst", "workload": "deployment/shop/cart", "strength": 0.5}
    assert [one["id"] for one in json.loads(aegis(url, "fault", "list", "--json").stdout)] == [made["id"]]
    assert len(json.loads(aegis(url, "fault", "kinds", "--json").stdout)) == 10
    assert json.loads(aegis(url, "state", "--json").stdout)["interval_seconds"] == 5.0
    assert json.loads(aegis(url, "fault", "stop", made["id"], "--json").stdout)["id"] == made["id"]


def test_every_kind_is_listed_with_its_cure(url: str) -> None:
    text = aegis(url, "fault", "kinds").stdout
    for words in ("dependency_timeout", "payments", "what heals it", "trap_restart_worse"):
        assert words in text


def test_what_is_wrong_is_said_with_the_next_step(url: str) -> None:
    unknown = refusal(aegis(url, "fault", "start", "flood"))
    assert isinstance(unknown, Invalid)
    assert "memory_leak" in str(unknown.hint)
    assert isinstance(refusal(aegis(url, "fault", "start", "error_burst", "nobody")), NotFound)
    assert isinstance(refusal(aegis(url, "fault", "stop", "fault-99")), NotFound)
    aegis(url, "fault", "start", "bad_rollout")
    assert isinstance(refusal(aegis(url, "fault", "start", "bad_rollout")), Conflict)
    silent = refusal(aegis("http://127.0.0.1:1", "fault", "list"))
    assert isinstance(silent, Unavailable)
    assert "aegis up" in str(silent.hint)
    assert aegis(url, "fault", "start", "error_burst", "--strength", "9").exit_code == 2


def test_the_kubeconfig_is_named_where_there_is_one(tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["kubectl-config", "--data-dir", str(tmp_path)])
    assert isinstance(refusal(missing), NotFound)
    (tmp_path / "kubeconfig").write_text("{}")
    found = CliRunner().invoke(app, ["kubectl-config", "--data-dir", str(tmp_path)])
    assert found.stdout == f"export KUBECONFIG={tmp_path / 'kubeconfig'}\n"


def test_the_kubeconfig_of_aegis_up_is_found_and_the_one_started_last_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEGIS_HOME", str(tmp_path / "it's home"))
    missing = refusal(CliRunner().invoke(app, ["kubectl-config"]))
    for words in (str(tmp_path / "it's home" / "sandbox"), str(tmp_path / ".aegis" / "sandbox")):
        assert words in missing.message
    for number, place in enumerate((tmp_path / ".aegis" / "sandbox", tmp_path / "it's home" / "sandbox")):
        place.mkdir(parents=True)
        (place / "kubeconfig").write_text("{}")
        os.utime(place / "kubeconfig", (number, number))
        found = CliRunner().invoke(app, ["kubectl-config"]).stdout
        assert found == f"export KUBECONFIG={shlex.quote(str(place / 'kubeconfig'))}\n"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"cluster": {}, "faults": [], "batch": 0}'])
def test_a_saved_world_that_cannot_be_read_is_put_aside_and_a_fresh_one_made(tmp_path: Path, content: str) -> None:
    state = tmp_path / "sandbox.json"
    state.write_text(content)
    world = open_world(SandboxSettings.read({}, data_dir=tmp_path), state)
    assert world.faults == {}
    assert (tmp_path / "sandbox.unreadable").read_text() == content


# --- the process ------------------------------------------------------------------------------------------------------


class Running:
    """`aegis sandbox run` as a child process on ports of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = free_ports(2)
        self.url = f"http://127.0.0.1:{self.ports[1]}"
        command = [sys.executable, "-m", "aegis.cli", "sandbox", "run", "--data-dir", str(home)]
        command += ["--api-port", str(self.ports[0]), "--port", str(self.ports[1])]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("AEGIS_")}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ready(self) -> None:
        for _ in range(300):
            try:
                if httpx2.get(f"{self.url}/health/ping", timeout=1.0, trust_env=False).is_success:
                    return
            except httpx2.HTTPError:
                pass
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(f"the sandbox did not start: {self.stop()}")

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=30)
        return output.decode()

    def kubectl(self, kubeconfig: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECONFIG": str(self.home / kubeconfig)}
        return subprocess.run(["kubectl", *arguments], env=environment, capture_output=True, text=True, timeout=30)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def test_the_process_serves_people_and_the_executor_and_is_the_same_world_after_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "sandbox"
    first = Running(home)
    first.ready()
    assert aegis(first.url, "fault", "start", "image_pull_error").exit_code == 0
    pods = first.kubectl("kubeconfig", "get", "pods", "-n", "shop", "-o", "name")
    assert pods.returncode == 0, pods.stderr
    assert first.kubectl("executor-kubeconfig", "get", "deploy", "-n", "shop").returncode == 0
    assert "forbidden" in first.kubectl("executor-kubeconfig", "get", "deploy", "-n", "tools").stderr
    for secret in ("kubeconfig", "executor-kubeconfig", "kubeconfig.token", "sandbox-api.key"):
        assert (home / secret).stat().st_mode & 0o077 == 0, secret
    assert first.process.poll() is None
    first.stop()
    assert first.process.returncode == 0
    second = Running(home)
    second.ready()
    again = second.kubectl("kubeconfig", "get", "pods", "-n", "shop", "-o", "name")
    assert again.stdout == pods.stdout
    assert json.loads(aegis(second.url, "fault", "list", "--json").stdout)[0]["kind"] == "image_pull_error"
    second.stop()
