"""Settings: one frozen class per process, read once at start from `AEGIS_*` variables and secret files.

An unknown `AEGIS_` variable refuses to start, because a misspelt safety setting is worse than a missing one.
Secrets come from files named by `..._FILE` settings and are never echoed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from aegis.kit.errors import Invalid

# Read by other parts of the system than the settings classes.
_SHARED = frozenset(
    {
        "AEGIS_CRASH_AT",
        "AEGIS_PG_BIN",
        "AEGIS_HOME",
        "AEGIS_URL",
        "AEGIS_TOKEN_FILE",
        "AEGIS_LOG_LEVEL",
        "AEGIS_SANDBOX_URL",
    }
)


class Settings(BaseModel):
    """Base of every process's settings; field `x_y` is read from `AEGIS_X_Y`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """Settings from the environment, `overrides` first; raises `Invalid` naming the variable and the rule."""
        source = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for name, value in source.items():
            if not name.startswith("AEGIS_") or name in _SHARED:
                continue
            field = name.removeprefix("AEGIS_").lower()
            if field not in cls.model_fields:
                known = ", ".join(sorted(f"AEGIS_{known.upper()}" for known in cls.model_fields))
                raise Invalid("unknown_setting", f"{name} is not a setting of this process.", hint=f"Known: {known}.")
            values[field] = value
        try:
            return cls(**(values | overrides))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = "AEGIS_" + "_".join(str(part) for part in first["loc"]).upper()
            raise Invalid("bad_setting", f"{name}: {first['msg']}") from None


def read_secret(path: Path, *, what: str) -> bytes:
    """The stripped content of a secret file; refuses a missing, empty or world-readable one."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes().strip()
    except OSError as error:
        raise Invalid("secret_unreadable", f"{what}: {path} cannot be read ({error.strerror})") from None
    if mode & 0o004:
        raise Invalid("secret_world_readable", f"{what}: {path} can be read by everybody.", hint="Run chmod 600 on it.")
    if not content:
        raise Invalid("secret_empty", f"{what}: {path} is empty")
    return content
