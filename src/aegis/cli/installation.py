"""One installation on one machine: the directory that `aegis up` keeps everything in, owned by one running Aegis.

It makes, locks and resets that directory and knows which file lies where. It starts nothing.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from aegis.cli.keyring import Keyring
from aegis.kit.errors import Conflict, Invalid

MARKER = "aegis-data"
STATE = ("keys", "postgres", "witness", "logs", "sandbox", "models", "bootstrap-token")


@dataclass(slots=True)
class Installation:
    """Paths below `root`; `take` makes and locks it, `release` lets it go."""

    root: Path
    _lock: int = -1

    @property
    def keys(self) -> Keyring:
        return Keyring(self.root / "keys")

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def witness(self) -> Path:
        return self.root / "witness" / "audit.ndjson"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def sandbox(self) -> Path:
        return self.root / "sandbox"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def bootstrap_token(self) -> Path:
        return self.root / "bootstrap-token"

    def take(self) -> None:
        """Make the directory and lock it; raises `Invalid` when it is somebody else's or holds something else."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
            self._refuse_shared()
            self._refuse_foreign()
            self._lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._lock_it()
            (self.root / MARKER).touch()
            for directory in (self.logs, self.witness.parent, self.sandbox, self.models):
                directory.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise Invalid(
                "data_dir_unwritable",
                f"{self.root} cannot be written ({error.strerror}).",
                hint="Choose another place with --data-dir.",
            ) from None

    def release(self) -> None:
        """Let go of the lock; also called in children, which must not hold it after their parent."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def wipe(self) -> None:
        """Remove everything Aegis put there and nothing else; the lock is held meanwhile."""
        self.take()
        for name in STATE:
            path = self.root / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.release()

    def first_admin_token(self) -> str:
        """The one-time token for the first admin, made once."""
        if not self.bootstrap_token.exists():
            descriptor = os.open(self.bootstrap_token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
        return self.bootstrap_token.read_text().strip()

    def _refuse_shared(self) -> None:
        """Whoever may rename files here may put their own keys in the place of ours."""
        held = self.root.stat()
        if held.st_uid not in (0, os.geteuid()) or held.st_mode & 0o002:
            hint = "Choose another place with --data-dir."
            raise Invalid("data_dir_shared", f"{self.root} can be changed by others than you.", hint=hint)

    def _refuse_foreign(self) -> None:
        held = {path.name for path in self.root.iterdir()}
        if held and MARKER not in held and not held <= {*STATE, "lock"}:
            hint = "Choose an empty one with --data-dir."
            raise Invalid("data_dir_foreign", f"{self.root} holds files that are not Aegis's.", hint=hint)

    def _lock_it(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            hint = "Stop it, or choose another place with --data-dir."
            raise Conflict("data_dir_in_use", f"another Aegis is running on {self.root}.", hint=hint) from None


def default_root() -> Path:
    """`AEGIS_HOME`, else /var/lib/aegis for root (whose home the database's user may not enter), else the user's."""
    named = os.environ.get("AEGIS_HOME")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/lib/aegis")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "aegis"
