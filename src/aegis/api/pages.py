"""The web page: one HTML file for every path, its files under /assets/, and a clear 404 for whatever looks like an API.

The UI build writes the directory; without it, a sentence says how to build it. Styles need the nonce of each answer.
"""

from __future__ import annotations

import gzip
import mimetypes
import re
from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from aegis.api.access import public
from aegis.api.deps import V1, Deps
from aegis.api.problems import no_such_route
from aegis.kit.errors import NotFound

READ = ["GET", "HEAD"]
ANY = [*READ, "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
NONCE = "__CSP_NONCE__"
FOREVER = "public, max-age=31536000, immutable"  # the build puts a hash of the content into every name
ASSET = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)
MAX_PATH = 200  # file systems take no longer names
NOT_BUILT = (
    "<!doctype html><html lang=en><title>Aegis</title>"
    "<p>The web page is not built. Run <code>make up</code>, or <code>python scripts/build_ui.py</code>; "
    "the API and the <code>aegis</code> command work without it."
)


def add_routes(app: FastAPI, deps: Deps) -> None:
    """Last of all: these routes take every path that no other took."""

    @app.get(f"{V1}/openapi.json", dependencies=[public()], include_in_schema=False)
    def openapi() -> dict[str, object]:
        return app.openapi()

    @app.api_route("/api", methods=ANY, dependencies=[public()], include_in_schema=False)
    @app.api_route("/api/{path:path}", methods=ANY, dependencies=[public()], include_in_schema=False)
    def unknown(request: Request) -> Response:
        raise no_such_route(request)

    @app.api_route("/assets/{path:path}", methods=READ, dependencies=[public()], include_in_schema=False)
    def asset(request: Request, path: str) -> Response:
        file = deps.static / "assets" / path
        if len(path) > MAX_PATH or ASSET.fullmatch(path) is None or not file.is_file():
            raise NotFound("asset_unknown", "there is no such file.")
        plain, packed, kind = _read(file)
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
        if packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, media_type=kind, headers=headers | {"Content-Encoding": "gzip"})
        return Response(plain, media_type=kind, headers=headers)

    @app.api_route("/{path:path}", methods=READ, dependencies=[public()], include_in_schema=False)
    def page(request: Request) -> Response:
        index = deps.static / "index.html"
        if not index.is_file():
            return HTMLResponse(NOT_BUILT, 503)
        text = index.read_text(encoding="utf-8")
        return HTMLResponse(text.replace(NONCE, str(request.scope["aegis.csp_nonce"])))


@lru_cache(maxsize=256)
def _read(file: Path) -> tuple[bytes, bytes | None, str]:
    """The file, its gzip form where that is shorter, and its media type; a file's name changes with its content."""
    plain = file.read_bytes()
    packed = gzip.compress(plain, 9, mtime=0)
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return plain, packed if len(packed) < 0.9 * len(plain) else None, kind
