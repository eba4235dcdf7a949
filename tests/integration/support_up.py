"""`aegis up` as a child process on free ports, as a person starts it, and a client of the API it serves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

PASSWORD = "kettle river moss"
FREE_PORTS = [f"--{name}port=0" for name in ("", "engine-", "executor-", "kube-", "metrics-")]


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    said: str

    @property
    def url(self) -> str:
        found = re.search(r"Aegis is up after [\d.]+ s: (\S+)", self.said)
        assert found is not None, self.said
        return found[1]

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        said = self.process.stdout.read()
        self.process.wait(60)
        return said


@contextmanager
def up(home: Path, *arguments: str) -> Iterator[Running]:
    """Runs with what it said until it was up; killed at the end if it still runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AEGIS_")}
    command = [sys.executable, "-m", "aegis.cli", "up", "--data-dir", str(home), *FREE_PORTS, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if "Stop: Ctrl-C" in line:
                    break
            yield Running(process, said)
        finally:
            process.kill()


@contextmanager
def first_admin(running: Running, email: str = "ann@example.org") -> Iterator[httpx2.Client]:
    """Makes the first admin with the printed token; gives a client with a token of theirs."""
    printed = re.search(r"one-time token (\S+),", running.said)
    assert printed is not None, running.said
    person = {"email": email, "password": PASSWORD}
    with httpx2.Client(base_url=f"{running.url}/api/v1", timeout=20.0, trust_env=False) as client:
        client.post("/auth/bootstrap", json={**person, "token": printed[1]}).raise_for_status()
        made = client.post("/auth/tokens", json={**person, "name": "test"}).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {made['token']}"
        yield client
