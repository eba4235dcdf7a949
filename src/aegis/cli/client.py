"""The command line's way to the API: one HTTP client with the saved token, problems turned back into our errors.

`aegis login` writes token and address, a line each, into `AEGIS_TOKEN_FILE` (default ~/.config/aegis/token, mode 600).
`AEGIS_URL` names another address, and needs a login of its own; without either it is http://127.0.0.1:3000.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from aegis.kit.errors import (
    AegisError,
    Conflict,
    Denied,
    Expired,
    Invalid,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from aegis.kit.settings import read_secret

DEFAULT_URL = "http://127.0.0.1:3000"
_KINDS: dict[int, type[AegisError]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Denied,
    404: NotFound,
    409: Conflict,
    410: Expired,
    413: Invalid,
    422: Invalid,
    429: RateLimited,
    503: Unavailable,
}


def token_path() -> Path:
    named = os.environ.get("AEGIS_TOKEN_FILE")
    return Path(named) if named else Path.home() / ".config" / "aegis" / "token"


def save_token(token: str, url: str) -> Path:
    """Write the token and the address it is for, for its owner only, and return where."""
    path = token_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{token}\n{url}\n")
    path.chmod(0o600)
    return path


def forget_token() -> bool:
    path = token_path()
    if not path.exists():
        return False
    path.unlink()
    return True


def _saved_url() -> str | None:
    path = token_path()
    lines = path.read_text().splitlines() if path.exists() else []
    return lines[1] if len(lines) > 1 else None


def _address(url: str) -> str:
    """The address without its last slash; raises `Invalid` for what is none."""
    try:
        parsed = httpx2.URL(url)
        good = parsed.scheme in ("http", "https") and bool(parsed.host)
    except httpx2.InvalidURL:
        good = False
    if not good:
        raise Invalid("bad_url", f"{url!r} is no address.", hint=f"Write it whole, as in {DEFAULT_URL}.")
    return url.rstrip("/")


def _refuse_elsewhere(url: str, token: str | None) -> None:
    """A saved token is shown to nobody but the API that gave it."""
    saved = None if token else _saved_url()
    if saved is not None and saved.rstrip("/") != url:
        raise Unauthenticated(
            "token_elsewhere", f"the saved token is for {saved}.", hint=f"Run: aegis login --url {url}"
        )


class Api:
    """`with Api() as api: api.get("/state")`; raises the error family of `kit.errors`."""

    def __init__(self, url: str | None = None, *, token: str | None = None, anonymous: bool = False) -> None:
        self.url = _address(url or os.environ.get("AEGIS_URL") or _saved_url() or DEFAULT_URL)
        headers = {"Accept": "application/json", "User-Agent": "aegis-cli"}
        if not anonymous:
            _refuse_elsewhere(self.url, token)
            headers["Authorization"] = f"Bearer {token or self._saved_token()}"
        self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=15.0, trust_env=False)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        given = {name: value for name, value in params.items() if value is not None}
        return self._send("GET", path, params=given)

    def text(self, path: str) -> str:
        """An answer that is not JSON, such as an export."""
        return self._request("GET", path).text

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("POST", path, json=body)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        return self._send("DELETE", path)

    def _saved_token(self) -> str:
        path = token_path()
        if not path.exists():
            hint = f"Run: aegis login --url {self.url} (the very first time with --first-admin FILE)."
            raise Unauthenticated("not_logged_in", "nobody is logged in here.", hint=hint)
        return read_secret(path, what="API token").decode().splitlines()[0]

    def _send(self, method: str, path: str, **options: Any) -> Any:
        response = self._request(method, path, **options)
        if response.status_code == 204:
            return None
        try:
            return response.json()
        except ValueError:
            raise self._foreign() from None

    def _foreign(self) -> Unavailable:
        hint = "Something else listens there: name Aegis's address with AEGIS_URL, or log in to it with --url."
        return Unavailable("api_foreign", f"what answers at {self.url} is no Aegis.", hint=hint)

    def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, f"/api/v1{path}", **options)
        except httpx2.HTTPError as error:
            hint = "Is it running? Start it with: aegis up"
            message = f"{self.url} does not answer ({type(error).__name__})."
            raise Unavailable("api_unreachable", message, hint=hint) from None
        if response.is_success:
            return response
        document = _object(response)
        if "code" not in document and response.status_code < 500:  # from 500 on it may be a proxy before an Aegis
            raise self._foreign()
        raise _problem(response, document)


def _object(response: httpx2.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _problem(response: httpx2.Response, document: dict[str, Any]) -> AegisError:
    kind = _KINDS.get(response.status_code, Unavailable)
    code = str(document.get("code", f"http_{response.status_code}"))
    detail = str(document.get("detail") or document.get("title") or f"the API answered {response.status_code}")
    hint = document.get("hint")
    if response.status_code == 401 and not hint:
        hint = "Run: aegis login"
    return kind(code, detail, field=document.get("field"), hint=hint)


def segment(text: str) -> str:
    """One path segment, escaped."""
    return quote(text, safe="")
