"""The embedded PostgreSQL server: one private cluster in one directory, started, watched and stopped by its owner.

`aegis up` and the tests run it; everybody else only gets a URL. It never listens on TCP unless asked, never trusts a
connection without a password, never runs as root, and never outlives the process that started it.

1. One owner per directory: a flock is held for as long as the server runs.
2. A server left behind is waited for, never raced: two postmasters on one directory would destroy it.
3. `durable=True` keeps fsync and full page writes: an acknowledged row survives kill -9 of everything.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from aegis.kit.errors import Conflict, Invalid, Unavailable
from aegis.storage.postgres_binaries import Binaries, RunAs, find, unprivileged
from aegis.storage.postgres_directory import (
    check_reachable,
    check_version,
    socket_directory,
    sync_directory,
    take_lock,
    unwritable,
    wait_for_leftovers,
    write_private,
)

SUPERUSER = "postgres"
PORT = 5432  # names the socket file; nothing listens on TCP unless asked
START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOG_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1
_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_LIBC = ctypes.CDLL(None, use_errno=True)

_SMALL = {
    "shared_buffers": "16MB",
    "max_connections": "40",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "1",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "wal_buffers": "1MB",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "bgwriter_lru_maxpages": "0",
    "jit": "off",
    "huge_pages": "off",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "unix_socket_permissions": "0700",
}
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """`with EmbeddedPostgres(data_dir) as pg: pg.create_database("aegis"); connect(pg.url("aegis"))`.

    Layout of `data_dir`: `cluster/` (PostgreSQL's), `password` and `server.log` (0600), `lock`, `run/` (socket).
    Start it on a thread that lives as long as the server should: the kernel ends the server with that thread.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True, tcp_port: int | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self._durable = durable
        self._tcp_port = tcp_port
        self._port = tcp_port or PORT
        self._run_as = unprivileged()
        self._cluster = self.data_dir / "cluster"
        self._log = self.data_dir / "server.log"
        self._lock = -1
        self._password = ""
        self._socket_dir = self.data_dir / "run"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedPostgres:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> EmbeddedPostgres:
        """Make the cluster when there is none, start the server and wait until it answers."""
        binaries = find(self._run_as)
        self._make_directories()
        self._lock = take_lock(self.data_dir / "lock", self.data_dir)
        try:
            self._password = self._read_or_make_password()
            if not (self._cluster / "PG_VERSION").exists():
                self._initialise(binaries)
            check_version(self._cluster, binaries)
            wait_for_leftovers(self._cluster, self._socket_dir)
            self._spawn(binaries)
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Fast shutdown: clients are cut off, everything committed is on disk; harder when that takes too long."""
        if self._process is not None:
            for number, patience in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
                if self._process.poll() is None:
                    self._process.send_signal(number)
                    _wait(self._process, patience)
            self._process = None
        if self._socket_dir.parent != self.data_dir and self._lock >= 0:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        self.let_go()

    def let_go(self) -> None:
        """In a forked child: give up the lock, so that it ends with the parent that owns the server."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def url(self, database: str, *, role: str | None = None) -> str:
        """`postgresql://role:password@/database?host=…` for a database made by `create_database`."""
        name = role or database
        return self._url(name, self._role_password(name), database)

    def superuser_url(self, database: str = "postgres") -> str:
        return self._url(SUPERUSER, self._password, database)

    def create_database(self, name: str) -> str:
        """Make a role and a database of that name, owned by it and closed to other roles, once; returns its URL."""
        if _DATABASE_NAME.fullmatch(name) is None or name == SUPERUSER:
            raise Invalid("database_name", f"{name!r} is no database name: lower-case letters, digits and underscores")
        identifier, password = sql.Identifier(name), sql.Literal(self._role_password(name))
        with psycopg.connect(self.superuser_url(), autocommit=True) as connection:
            role = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            verb = sql.SQL("CREATE" if role is None else "ALTER")
            connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, identifier, password))
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, identifier))
            connection.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(identifier))
        return self.url(name)

    def _url(self, role: str, password: str, database: str) -> str:
        host = quote(str(self._socket_dir), safe="/")
        return f"postgresql://{role}:{password}@/{database}?host={host}&port={self._port}"

    def _role_password(self, role: str) -> str:
        """Derived from the superuser's, so that one file is the only secret and no role can guess another's."""
        return hmac.new(self._password.encode(), role.encode(), hashlib.sha256).hexdigest()

    def _make_directories(self) -> None:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if self._run_as else 0o700)
            self._socket_dir = socket_directory(self.data_dir)
            if self._run_as is not None:
                os.chown(self._socket_dir, self._run_as.uid, self._run_as.gid)
            probe = self.data_dir / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise unwritable(self.data_dir, error) from None
        if self._run_as is not None:
            check_reachable(self.data_dir)

    def _read_or_make_password(self) -> str:
        path = self.data_dir / "password"
        if not path.exists():
            if (self._cluster / "PG_VERSION").exists():
                raise Conflict("password_lost", f"{path} is gone, so nobody can log in to the database beside it.")
            write_private(path, secrets.token_hex(32))
        return path.read_text().strip()

    def _initialise(self, binaries: Binaries) -> None:
        """`initdb` into a directory beside, renamed when complete: a start cut off half-way leaves no half cluster."""
        fresh = self.data_dir / "cluster.new"
        secret = self.data_dir / "initdb.secret"
        shutil.rmtree(fresh, ignore_errors=True)
        secret.unlink(missing_ok=True)
        fresh.mkdir(mode=0o700)
        write_private(secret, self._password)
        if self._run_as is not None:
            os.chown(fresh, self._run_as.uid, self._run_as.gid)
            os.chown(secret, self._run_as.uid, self._run_as.gid)
        command = [binaries.path("initdb"), "-D", str(fresh), "-U", SUPERUSER, "--pwfile", str(secret)]
        command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
        if not self._durable:
            command.append("--no-sync")
        done = subprocess.run(
            command, cwd="/", env=_environment(), capture_output=True, text=True, timeout=120, **_identity(self._run_as)
        )
        secret.unlink()
        if done.returncode != 0:
            raise Unavailable("initdb_failed", f"PostgreSQL could not make its files: {_last_line(done.stderr)}")
        fresh.rename(self._cluster)
        sync_directory(self.data_dir)

    def _spawn(self, binaries: Binaries) -> None:
        settings = _SMALL | ({} if self._durable else _FORGETFUL)
        settings |= {"unix_socket_directories": str(self._socket_dir), "port": str(self._port)}
        settings |= {"listen_addresses": "127.0.0.1" if self._tcp_port else ""}
        if binaries.major >= 18:
            settings["io_method"] = "sync"  # no I/O worker processes
        command = [binaries.path("postgres"), "-D", str(self._cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        self._log.touch(mode=0o600)
        self._log.chmod(0o600)  # a statement that failed stands in it, whatever it was about
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is the supervisor's to handle
                preexec_fn=_die_with_parent(os.getpid()),
                **_identity(self._run_as),
            )

    def _wait_ready(self) -> None:
        """Until postmaster.pid says ready; crash recovery after kill -9 may take a while."""
        assert self._process is not None
        waited = 0.0
        while not _says_ready(self._cluster, self._process.pid):
            if self._process.poll() is not None:
                raise Unavailable("postgres_failed", f"PostgreSQL did not start: {self._reason()} (see {self._log})")
            if waited > START_SECONDS:
                raise Unavailable("postgres_slow", f"PostgreSQL was not ready within {START_SECONDS:g} s.")
            _wait(self._process, 0.02)
            waited += 0.02

    def _reason(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        fatal = [line for line in lines[-40:] if "FATAL" in line or "PANIC" in line]
        return (fatal or lines or ["no reason given"])[-1]


def _identity(run_as: RunAs | None) -> dict[str, Any]:
    """The keyword arguments of `subprocess` that change user; none when we are not root."""
    return {} if run_as is None else {"user": run_as.uid, "group": run_as.gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """Nothing of ours leaks in; PG_GRANDPARENT_PID lets a restarted container, where pids repeat, see a stale lock."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PG_GRANDPARENT_PID": str(os.getppid())}


def _die_with_parent(parent: int) -> Callable[[], None]:
    def between_fork_and_exec() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return between_fork_and_exec


def _says_ready(cluster: Path, pid: int) -> bool:
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
