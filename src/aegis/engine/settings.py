"""The engine's settings, read once at start."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from aegis.kit.settings import Settings


class EngineSettings(Settings):
    """`AEGIS_PROMETHEUS_URL`, `AEGIS_MODEL_DIR`, … for `aegis engine`."""

    prometheus_url: str
    prometheus_token_file: Path | None = None
    model_dir: Path
    scrape_seconds: float = Field(default=0.0, ge=0, le=600, description="0 asks Prometheus")
    alerts_per_day: float = Field(default=1.0, gt=0, le=100, description="false alerts a day and workload you accept")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
