"""The directory of an embedded PostgreSQL: locked, checked, cleared of what a killed server left behind.

Called by `storage.embedded` only, before it starts a server. Nothing here deletes data: it removes stale lock files,
and only when nobody can be using them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from pathlib import Path

from aegis.kit.errors import AegisError, Conflict, Invalid
from aegis.storage.postgres_binaries import Binaries, unprivileged

SOCKET_PATH_LIMIT = 107  # sockaddr_un on Linux, without the closing zero
LEFTOVER_SECONDS = 20.0
LOCK_SECONDS = 5.0


def take_lock(path: Path, data_dir: Path) -> int:
    """An exclusive flock, waited for a moment: a predecessor killed just now releases it when its children are gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(data_dir, error) from None
    for _ in range(int(LOCK_SECONDS / 0.05)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return descriptor
    os.close(descriptor)
    raise Conflict("data_dir_in_use", f"another Aegis is running on {data_dir}.", hint="Stop it or use --data-dir.")


def wait_for_leftovers(cluster: Path, socket_dir: Path) -> None:
    """Let a server that lost its supervisor finish; then drop the lock files it could not remove."""
    for _ in range(int(LEFTOVER_SECONDS / 0.1)):
        left = _servers_in(cluster)
        if not left:
            break
        time.sleep(0.1)
    else:
        raise Conflict("postgres_left_over", f"a PostgreSQL server (process {left[0]}) still uses {cluster}.")
    # Lock files may name a pid that is now somebody else's or a zombie's. Dropping them is safe here, and only here:
    # we hold the flock and no process works in the directory.
    for stale in (cluster / "postmaster.pid", *socket_dir.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)


def _servers_in(cluster: Path) -> list[int]:
    """Processes whose working directory is the cluster: every PostgreSQL process changes into it and stays."""
    home, found = cluster.resolve(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == home:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def check_version(cluster: Path, binaries: Binaries) -> None:
    written = (cluster / "PG_VERSION").read_text().strip()
    if written != str(binaries.major):
        raise Conflict(
            "database_version",
            f"the data in {cluster.parent} was written by PostgreSQL {written}, and this is {binaries.major}.",
            hint="Set AEGIS_PG_BIN to a matching version, or start afresh with --reset.",
        )


def socket_directory(data_dir: Path) -> Path:
    """`run/` inside when the path fits into a socket address, else a private directory under /tmp."""
    inside = data_dir / "run"
    if len(os.fsencode(inside / ".s.PGSQL.65535")) > SOCKET_PATH_LIMIT:
        digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
        inside = Path(f"/tmp/aegis-{os.geteuid()}-{digest}")
    inside.mkdir(mode=0o700, exist_ok=True)
    held = inside.lstat()
    ours = {os.geteuid()} | ({run_as.uid} if (run_as := unprivileged()) else set())
    if not stat.S_ISDIR(held.st_mode) or held.st_uid not in ours or held.st_mode & 0o077:
        raise Conflict("socket_dir_taken", f"{inside} belongs to somebody else or is open to others.")
    return inside


def check_reachable(data_dir: Path) -> None:
    """As root the server runs as `nobody`, who must be able to walk to the directory."""
    for part in (data_dir, *data_dir.parents):
        if not part.stat().st_mode & 0o001:
            raise Invalid(
                "data_dir_unreachable",
                f"started as root, the database runs as nobody, who may not enter {part}.",
                hint="Choose another place with --data-dir (such as /var/lib/aegis), or start as a normal user.",
            )


def unwritable(data_dir: Path, error: OSError) -> AegisError:
    return Invalid(
        "data_dir_unwritable",
        f"{data_dir} cannot be written ({error.strerror}).",
        hint="Choose another place with --data-dir.",
    )


def write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
