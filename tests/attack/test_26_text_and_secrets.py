"""Attack 26: text that forges log lines, and a canary in the place of every secret: one entry one line, no canary."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from tests.integration.support_postgres import database, database_url, fresh_database
from tests.integration.test_api_process import environment, free_port, process

from aegis.storage.database import Database
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.users import sessions

__all__ = ["database", "database_url"]
pytestmark = pytest.mark.integration
CANARY = "canary-of-mine"
FORGED = f'{CANARY}\r\n{{"event": "forged"}}\x1b[2J'
ADA = {"email": "ada@example.org", "password": f"{CANARY} river moss"}


@dataclass(frozen=True, slots=True)
class Left:
    """What a run of the API left behind: the lines of its log, every row of its database, the secrets it gave out."""

    log: list[str]
    rows: str
    given: list[str]


def break_in(url: str, client: httpx2.Client, token: str) -> list[str]:
    """Everything that a secret goes into, right and wrong, and requests that make the API fail; what it gave out."""
    client.post("/auth/bootstrap", json=ADA | {"token": CANARY})
    assert client.post("/auth/bootstrap", json=ADA | {"token": token}).status_code == 201
    client.post("/auth/login", json=ADA | {"password": f"{CANARY} wrong"})
    client.post("/auth/login", json=ADA | {"password": CANARY * 20})
    client.post("/auth/login", json=ADA | {CANARY: FORGED})
    session = client.post("/auth/login", json=ADA).cookies["aegis_session"]
    given = client.post("/auth/tokens", json=ADA | {"name": "test"}).json()["token"]
    client.get("/state", headers={"Authorization": f"Bearer {CANARY}"})
    client.get("/state", headers={"Authorization": f"Basic {CANARY}"})
    client.get("/state", headers={"Cookie": f"aegis_session={CANARY}"})
    client.get("/audit", params={"q": CANARY}, headers={"Authorization": f"Bearer {given}"})
    client.get(f"/incidents/{CANARY}%0d%0a", params={CANARY: CANARY})
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("ALTER TABLE sessions RENAME COLUMN seen_at TO elsewhere")
    assert client.post("/auth/login", json=ADA).status_code == 500
    assert client.get("/state", headers={"Cookie": f"aegis_session={session}"}).status_code == 500
    return [session, given]


def everything(url: str) -> str:
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows: list[Any] = []
        for (table,) in tables:
            name = sql.Identifier(table)
            rows += connection.execute(sql.SQL("SELECT {}::text FROM {}").format(name, name)).fetchall()
        rows += connection.execute("SELECT convert_from(entry, 'UTF8') FROM audit_entries").fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.fixture(scope="module")
def left(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    directory: Path = tmp_path_factory.mktemp("canary")
    with fresh_database(postgres) as url:
        port = free_port()
        env = environment(directory, AEGIS_DATABASE_URL=url, AEGIS_PORT=str(port))
        with process(env) as child:
            base = f"http://127.0.0.1:{port}"
            with httpx2.Client(base_url=f"{base}/api/v1", headers={"Origin": base}, trust_env=False) as client:
                given = break_in(url, client, (directory / "token").read_text())
            child.send_signal(signal.SIGTERM)
            assert child.stderr is not None
            log = child.stderr.read().splitlines()
        password = re.search(r"//[^:]+:([^@]+)@", url)
        assert password is not None
        yield Left(log, everything(url), [*given, password[1]])


def test_whatever_comes_in_one_entry_is_one_line(left: Left) -> None:
    events = [json.loads(line)["event"] for line in left.log]
    assert events.count("request:crashed") == 2
    assert "forged" not in events


def test_no_secret_is_in_the_log(left: Left) -> None:
    for secret in (CANARY, *left.given):
        assert [line for line in left.log if secret in line] == []


def test_no_secret_is_in_the_database(left: Left) -> None:
    assert ADA["email"] in left.rows
    for secret in (CANARY, *left.given):
        assert secret not in left.rows


def test_an_error_of_the_database_names_no_values(database: Database) -> None:
    row = {"digest": CANARY.encode(), "email": "nobody@example.org", **dict.fromkeys(("created_at", "seen_at"))}
    with pytest.raises(IntegrityError) as broken, database.begin() as conn:
        conn.execute(insert(sessions).values(**row))
    assert CANARY not in str(broken.value)
