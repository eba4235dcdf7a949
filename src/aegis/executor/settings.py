"""The executor's settings: where its database, keys and cluster are, and the limits that no ticket can exceed.

`process.run` reads them once; tests build them directly. Nothing in a request changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from aegis.kit.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits; `settle_seconds` is how long an unanswered request may still take effect in the API server."""

    min_replicas: int = 1
    max_replicas: int = 20
    max_replica_step: int = 5
    per_minute_namespace: int = 6
    per_minute_total: int = 20
    in_flight: int = 4
    settle_seconds: float = 65.0


class ExecutorSettings(Settings):
    """Read from `AEGIS_*`; lists are comma-separated."""

    database_url: str = ""
    database_url_file: Path | None = None
    kubeconfig: Path | None = None
    namespaces: str = Field(min_length=1)
    own_namespace: str = "aegis-system"
    unsafe_protected_namespaces: bool = False
    hmac_key_files: str = Field(min_length=1)
    decision_key_files: str = Field(min_length=1)
    host: str = "127.0.0.1"
    port: int = Field(default=4000, ge=0, le=65535)
    max_replicas: int = Field(default=20, ge=1)
    max_replica_step: int = Field(default=5, ge=1)
    actions_per_minute_namespace: int = Field(default=6, ge=1)
    actions_per_minute_total: int = Field(default=20, ge=1)
    actions_in_flight: int = Field(default=4, ge=1)
    settle_seconds: float = Field(default=65.0, ge=0)

    def limits(self) -> Limits:
        return Limits(
            max_replicas=self.max_replicas,
            max_replica_step=self.max_replica_step,
            per_minute_namespace=self.actions_per_minute_namespace,
            per_minute_total=self.actions_per_minute_total,
            in_flight=self.actions_in_flight,
            settle_seconds=self.settle_seconds,
        )


def comma_list(text: str) -> tuple[str, ...]:
    """The items of a comma-separated setting, exactly as written between the commas."""
    return tuple(item for item in text.split(",") if item)
