"""The controller's settings, read once at start; secrets are files."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from aegis.kit.settings import Settings, read_secret


class ControllerSettings(Settings):
    """`AEGIS_DATABASE_URL`, `AEGIS_ENGINE_URL`, … for `aegis controller`."""

    database_url: str
    engine_url: str = "http://127.0.0.1:8000"
    executor_url: str = "http://127.0.0.1:4000"
    prometheus_url: str
    prometheus_token_file: Path | None = None
    scrape_seconds: float = Field(default=0.0, ge=0, le=600, description="0 asks Prometheus")
    namespaces: str = Field(description="comma-separated namespaces to watch")
    hmac_key_files: str = Field(description="comma-separated paths; the first one signs")
    decision_key_file: Path
    audit_key_file: Path
    witness_file: Path | None = None
    poll_seconds: float = Field(default=0.7, gt=0, le=60)
    quiet_seconds: int = Field(default=120, ge=10)

    def watched(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.namespaces.split(",") if name.strip())

    def prometheus_token(self) -> str | None:
        path = self.prometheus_token_file
        return None if path is None else read_secret(path, what="Prometheus token").decode()

    def hmac_paths(self) -> list[Path]:
        return [Path(name.strip()) for name in self.hmac_key_files.split(",") if name.strip()]
