"""The API's settings, read once at start; secrets are files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from aegis.api.peer import networks
from aegis.kit.errors import Invalid
from aegis.kit.settings import Settings, read_secret


class ApiSettings(Settings):
    """`AEGIS_DATABASE_URL`, `AEGIS_ENGINE_URL`, … for `aegis api`."""

    database_url: str = ""
    database_url_file: Path | None = None
    engine_url: str = "http://127.0.0.1:8000"
    bootstrap_token_file: Path | None = Field(default=None, description="the one-time token for the first admin")
    audit_public_key_file: Path = Field(description="the line that aegis-verify takes; made by `aegis keys`")
    public_url: str = Field(default="", description="what browsers see, where a proxy in front ends TLS")
    trusted_proxies: str = Field(default="", description="addresses or networks whose X-Forwarded-For is believed: a,b")
    sandbox: bool = False
    host: str = "127.0.0.1"
    port: int = Field(default=3000, ge=0, le=65535)

    @field_validator("public_url")
    @classmethod
    def _only_an_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/")):
            raise ValueError("an address like https://aegis.example.org is needed")
        return value.rstrip("/").lower()

    @field_validator("trusted_proxies")
    @classmethod
    def _only_networks(cls, value: str) -> str:
        networks(value)
        return value

    def database(self) -> str:
        """The database's URL, from its file where one is named."""
        if self.database_url_file is not None:
            return read_secret(self.database_url_file, what="database URL").decode()
        if not self.database_url:
            raise Invalid("no_database", "the API has no database.", hint="Set AEGIS_DATABASE_URL_FILE.")
        return self.database_url
