"""`aegis api` as a process: it migrates, seeds and serves, ends its streams on SIGTERM, refuses to start half-way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.integration.support_api import PASSWORD, TOKEN
from tests.integration.support_postgres import fresh_database

from aegis.cli.keyring import Keyring
from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration


def environment(directory: Path, **given: str) -> dict[str, str]:
    ring = Keyring(directory / "keys")
    ring.generate()
    token = directory / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    own = {"AEGIS_AUDIT_PUBLIC_KEY_FILE": str(ring.audit_public), "AEGIS_BOOTSTRAP_TOKEN_FILE": str(token)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AEGIS_")}
    return clean | own | given


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def process(env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`aegis api`, listening; killed at the end if it is still there."""
    command = [sys.executable, "-m", "aegis.cli", "api"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            assert any("api:listening" in line for line in child.stderr), "it ended before it listened"
            yield child
        finally:
            child.kill()


def test_it_starts_on_an_empty_database_and_ends_its_streams_on_sigterm(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with fresh_database(postgres, migrated=False) as url:
        port = free_port()
        env = environment(tmp_path, AEGIS_DATABASE_URL=url, AEGIS_PORT=str(port))
        with (
            process(env) as child,
            httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False, timeout=30) as client,
        ):
            ada = {"email": "ada@example.org", "password": PASSWORD}
            assert client.post("/auth/bootstrap", json=ada | {"token": TOKEN}).status_code == 201
            token = client.post("/auth/tokens", json=ada | {"name": "test"}).json()["token"]
            client.headers["Authorization"] = f"Bearer {token}"
            state = client.get("/state").json()
            assert (state["mode"], state["stopped"]) == ("approve", False)
            assert client.get("/audit/key").json()["vkey"].startswith("aegis-audit/")
            with client.stream("GET", "/events") as stream:
                lines = stream.iter_lines()
                next(lines)
                begun = time.monotonic()
                child.send_signal(signal.SIGTERM)
                child.wait(30)
                assert time.monotonic() - begun < 8
                assert child.returncode == 0


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"AEGIS_AUDIT_PUBLIC_KEY_FILE": "/nowhere/audit.vkey"}, 3, "cannot be read"),
        ({"AEGIS_PUBLIC_URL": "aegis.example.org"}, 3, "AEGIS_PUBLIC_URL"),
        ({"AEGIS_SECRET_SAUCE": "1"}, 3, "AEGIS_SECRET_SAUCE"),
        ({}, 3, "no database"),
        ({"AEGIS_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/x"}, 7, "PostgreSQL did not answer"),
    ],
)
def test_a_bad_setting_refuses_to_start_in_one_sentence(
    tmp_path: Path, given: dict[str, str], code: int, said: str
) -> None:
    env = environment(tmp_path, AEGIS_PORT="0", **given) | given
    done = subprocess.run(
        [sys.executable, "-m", "aegis.cli", "api"], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        env = environment(tmp_path, AEGIS_DATABASE_URL="postgresql://nobody@127.0.0.1:9/x", AEGIS_PORT=port)
        command = [sys.executable, "-m", "aegis.cli", "api"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7
    assert f"port {port}" in done.stderr
