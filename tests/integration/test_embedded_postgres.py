"""The embedded server keeps its promises: private, one owner, gone with its parent, nothing acknowledged lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from aegis.kit.errors import Conflict, Invalid
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.postgres_binaries import find, unprivileged

pytestmark = pytest.mark.integration

# Starts a server, acknowledges rows on standard output one by one, and never ends by itself.
WRITER = """
import sys, pathlib, psycopg
from aegis.storage.embedded import EmbeddedPostgres
with EmbeddedPostgres(pathlib.Path(sys.argv[1])) as pg:
    url = pg.create_database("aegis")
    with psycopg.connect(url, autocommit=True) as c:
        c.execute("CREATE TABLE IF NOT EXISTS t (n int PRIMARY KEY)")
        print(pg.pid, flush=True)
        for n in range(1_000_000):
            c.execute("INSERT INTO t VALUES (%s)", [n])
            print(n, flush=True)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="aegis-pg-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


def _gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_it_answers_on_a_private_socket_with_a_password_and_not_on_tcp(postgres: EmbeddedPostgres) -> None:
    url = postgres.create_database("answers")
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting('listen_addresses'), current_user").fetchone()
    assert row == ("", "answers")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace("answers:", "answers:wrong", 1))
    assert (postgres.data_dir / "password").stat().st_mode & 0o077 == 0
    assert (postgres.data_dir / "run").stat().st_mode & 0o077 == 0


def test_nobody_else_reads_its_password_or_its_log(postgres: EmbeddedPostgres) -> None:
    for name in ("password", "server.log", "lock"):
        assert (postgres.data_dir / name).stat().st_mode & 0o077 == 0, name
    for name in ("cluster", "run"):
        assert (postgres.data_dir / name).stat().st_mode & 0o077 == 0, name


def test_it_never_runs_as_root(postgres: EmbeddedPostgres) -> None:
    assert postgres.pid is not None
    assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0


def test_one_database_is_closed_to_the_role_of_another(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("left_room")
    postgres.create_database("right_room")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(postgres.url("left_room", role="right_room"))


def test_a_second_start_finds_the_data_of_the_first(home: Path) -> None:
    with EmbeddedPostgres(home / "pg") as first, psycopg.connect(first.create_database("aegis")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    with EmbeddedPostgres(home / "pg") as second, psycopg.connect(second.create_database("aegis")) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_no_acknowledged_row_is_lost_when_supervisor_and_server_are_killed(home: Path) -> None:
    data = home / "pg"
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(data)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            server = int(writer.stdout.readline())
            rows = [int(writer.stdout.readline()) for _ in range(50)]
            os.kill(server, signal.SIGKILL)
            os.kill(writer.pid, signal.SIGKILL)
            rows += [int(line) for line in writer.stdout.read().splitlines() if line.strip().isdigit()]
        with EmbeddedPostgres(data) as again, psycopg.connect(again.create_database("aegis")) as connection:
            kept = {n for (n,) in connection.execute("SELECT n FROM t")}
            assert set(rows) <= kept
            connection.execute("TRUNCATE t")


def test_the_server_ends_with_its_supervisor(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home / "pg")], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        server = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
    with EmbeddedPostgres(home / "pg") as again:  # waits until the one left behind has gone
        assert again.pid != server
        assert _gone(server)


def test_a_second_owner_of_the_same_directory_is_refused(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aegis.storage.postgres_directory.LOCK_SECONDS", 0.1)
    with pytest.raises(Conflict, match="another Aegis is running"):
        EmbeddedPostgres(postgres.data_dir).start()


def test_a_lock_file_whose_pid_now_belongs_to_somebody_else_is_dropped(home: Path) -> None:
    data = home / "pg"
    EmbeddedPostgres(data, durable=False).start().stop()
    stale = data / "cluster" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{data}/cluster\n1\n5432\n\n\n\nready\n")
    with EmbeddedPostgres(data, durable=False) as again:
        assert again.pid is not None


def test_data_of_another_version_is_refused_in_one_sentence(home: Path) -> None:
    data = home / "pg"
    EmbeddedPostgres(data, durable=False).start().stop()
    (data / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(Conflict, match="was written by PostgreSQL 9, and this is"):
        EmbeddedPostgres(data, durable=False).start()


def test_a_directory_that_cannot_be_written_is_refused_in_one_sentence() -> None:
    with pytest.raises(Invalid, match="cannot be written"):
        EmbeddedPostgres(Path("/proc/aegis")).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to nobody")
def test_started_as_root_in_a_closed_home_it_says_so_in_one_sentence(home: Path) -> None:
    home.chmod(0o700)
    with pytest.raises(Invalid, match="may not enter"):
        EmbeddedPostgres(home / "pg").start()


def test_a_long_path_gets_its_socket_elsewhere(home: Path) -> None:
    long = home / ("d" * 120)
    with (
        EmbeddedPostgres(long, durable=False) as server,
        psycopg.connect(server.create_database("aegis")) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a copy")
def test_programs_in_a_home_closed_to_nobody_are_copied_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = home / "closed"
    shutil.copytree(find(unprivileged(), {}).directory.parent, closed / "pginstall", symlinks=True)
    closed.chmod(0o700)
    monkeypatch.setattr("aegis.storage.postgres_binaries.COPY_TO", home / "copies")
    copied = find(unprivileged(), {"AEGIS_PG_BIN": str(closed / "pginstall" / "bin")})
    assert copied.directory.is_relative_to(home / "copies")


def test_a_named_directory_without_programs_is_refused(home: Path) -> None:
    with pytest.raises(Invalid, match="AEGIS_PG_BIN names"):
        find(unprivileged(), {"AEGIS_PG_BIN": str(home)})
