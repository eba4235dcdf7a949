"""The sandbox's settings, read once at start."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from aegis.kit.settings import Settings


class SandboxSettings(Settings):
    """`AEGIS_DATA_DIR`, `AEGIS_PORT`, … for `aegis sandbox run`."""

    data_dir: Path
    host: str = "127.0.0.1"
    api_port: int = Field(default=6440, ge=0, le=65535)
    port: int = Field(default=9490, ge=0, le=65535)
    seed: int = 7
    interval_seconds: float = Field(default=5.0, ge=1, le=60)
    namespaces: str = "shop,batch"

    def healed(self) -> list[str]:
        return [name.strip() for name in self.namespaces.split(",") if name.strip()]
