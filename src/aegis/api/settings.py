"""The API's settings, read once at start; secrets are files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator

from aegis.api.peer import networks
from aegis.kit.errors import Invalid
from aegis.kit.settings import Settings, read_secret

# As browsers write it in the header Origin: without a user, a path, a query or the scheme's own port.
ORIGIN = re.compile(r"(?!https:.*:443$|http:.*:80$)https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)


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
    policy_dir: Path | None = Field(default=None, description="where all policies come from, and only from there")
    cache_key_file: Path | None = Field(default=None, description="the key that signs answers shared in Redis")
    redis_url: str = Field(default="", description="where API processes share answers; REDIS_URL says it too")
    host: str = "127.0.0.1"
    port: int = Field(default=3000, ge=0, le=65535)

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Self:
        """As everywhere; and `REDIS_URL`, as other programs call it."""
        source = os.environ if environ is None else environ
        named = {"redis_url": source["REDIS_URL"]} if "REDIS_URL" in source else {}
        return super().read(environ, **(named | overrides))

    @field_validator("public_url")
    @classmethod
    def _only_an_origin(cls, value: str) -> str:
        origin = value.lower().removesuffix("/")
        if origin and ORIGIN.fullmatch(origin) is None:
            raise ValueError("an address like https://aegis.example.org is needed")
        return origin

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
