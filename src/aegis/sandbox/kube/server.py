"""The wire: HTTP in front of a `Cluster`, as a Kubernetes API server speaks it; discovery, verbs, watches, failures.

`aegis sandbox` and the tests serve it. Every mutating request is written to `cluster.effects`, whatever became of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import yaml
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from aegis.sandbox.kube import discovery
from aegis.sandbox.kube.access import User, authorize
from aegis.sandbox.kube.cluster import Cluster
from aegis.sandbox.kube.effects import Effect
from aegis.sandbox.kube.handle import TABLE, handle, logs, selection
from aegis.sandbox.kube.objects import Obj
from aegis.sandbox.kube.requests import Wanted, parse, patch_kind
from aegis.sandbox.kube.shapes import checked_options
from aegis.sandbox.kube.status import ApiError, bad_request, expired, no_such_path, too_many_requests
from aegis.sandbox.kube.store import Change, ChangeType, Compacted
from aegis.sandbox.kube.tables import table
from aegis.sandbox.kube.weather import Storm

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection"})
MAX_BODY = 3 * 1024 * 1024
BOOKMARK_SECONDS = 30.0
WATCH_SECONDS = 1800.0


class Cut(Exception):
    """The connection is to be dropped without an answer."""


def create_app(cluster: Cluster) -> Starlette:
    """The API of one cluster."""

    async def serve(request: Request) -> Response:
        try:
            return await _serve(cluster, request)
        except ApiError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
            return JSONResponse(error.status(), error.code, headers)
        except Cut:
            return _Dropped()

    return Starlette(routes=[Route("/{path:path}", serve, methods=METHODS)])


class _Dropped(Response):
    """Announces a body that never comes, so that the client sees the connection end."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"1000"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": False})


async def _serve(cluster: Cluster, request: Request) -> Response:
    path = request.url.path.rstrip("/") or "/"
    if path in ("/healthz", "/livez", "/readyz"):
        return PlainTextResponse("ok")
    user = cluster.users.authenticate(request.headers.get("authorization"))
    if request.method == "GET" and (found := discovery.document(path)) is not None:
        return JSONResponse(found)
    if not path.startswith(("/api/", "/apis/")):
        raise no_such_path()
    wanted = parse(request.method, path, dict(request.query_params))
    authorize(user, wanted.verb, wanted.resource, wanted.namespace, wanted.name, wanted.sub)
    if wanted.verb == "watch":
        return _watch(cluster, wanted, request)
    if wanted.sub == "log":
        with cluster.lock:
            return PlainTextResponse(logs(cluster, wanted))
    body = await _body(request)
    return _answer(cluster, wanted, user, body, request)


def _answer(cluster: Cluster, wanted: Wanted, user: User, body: Any, request: Request) -> Response:
    agent, accept = request.headers.get("user-agent", ""), request.headers.get("accept", "")
    kind = patch_kind(request.headers.get("content-type", "")) if wanted.verb == "patch" else ""
    dry_run = wanted.dry_run or bool(checked_options(_options(body)).get("dryRun"))
    storm = cluster.faults.meet(wanted.verb, wanted.resource.plural, dry_run=dry_run)
    with cluster.lock:
        status, document = 500, cast(Obj, {})
        try:
            _before(storm)
            status, document = handle(cluster, wanted, user, body, kind, agent, accept)
        except ApiError as error:
            status = error.code
            raise
        finally:
            if wanted.verb in MUTATING and wanted.resource.stored:
                _record(cluster, wanted, user, agent, body, status, document, dry_run=dry_run)
        if wanted.verb in MUTATING and not dry_run:
            cluster.step()
    if storm is not None and storm.kind == "cut_after":
        raise Cut
    return JSONResponse(document, status)


def _before(storm: Storm | None) -> None:
    """What a storm does before anything is applied."""
    if storm is None or storm.kind == "cut_after":
        return
    if storm.kind == "cut_before":
        raise Cut
    if storm.kind == "throttle":
        raise too_many_requests("the server has received too many requests", storm.retry_after)
    if storm.kind == "conflict":
        raise ApiError(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
    raise ApiError(storm.status, "InternalError", "Internal error occurred: the sandbox was told to fail")


def _options(body: Any) -> Obj:
    if not isinstance(body, dict):
        return {}
    found = body.get("deleteOptions") or (body if body.get("kind") == "DeleteOptions" else {})
    return found if isinstance(found, dict) else {}


async def _body(request: Request) -> Any:
    raw = b""
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY:
                raise ApiError(413, "RequestEntityTooLarge", f"limit is {MAX_BODY}")
    except ClientDisconnect:
        raise Cut from None
    if not raw or "protobuf" in request.headers.get("content-type", ""):
        return None  # kubectl writes protobuf only for reviews of itself, whose body says nothing
    try:
        if "yaml" in request.headers.get("content-type", ""):
            return yaml.safe_load(raw)
        return json.loads(raw)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the body cannot be read: {error}") from None


def _record(
    cluster: Cluster, wanted: Wanted, user: User, agent: str, body: Any, status: int, document: Obj, *, dry_run: bool
) -> None:
    name = wanted.name or (document.get("metadata") or {}).get("name")
    plural = f"{wanted.resource.plural}/{wanted.sub}" if wanted.sub else wanted.resource.plural
    cluster.effects.append(
        Effect(
            time=cluster.clock.now(),
            user=user.name,
            verb=wanted.verb,
            resource=plural,
            namespace=wanted.namespace,
            name=name,
            dry_run=dry_run,
            field_manager=wanted.query.get("fieldManager", ""),
            summary=json.dumps(body, separators=(",", ":"))[:400] if body is not None else "",
            resource_version=(document.get("metadata") or {}).get("resourceVersion"),
            user_agent=agent[:120],
            code=status,
        )
    )


# --- watches -----------------------------------------------------------------------------------------------------


def _watch(cluster: Cluster, wanted: Wanted, request: Request) -> Response:
    storm = cluster.faults.meet("watch", wanted.resource.plural, dry_run=False)
    accept = request.headers.get("accept", "")
    gone = storm is not None and storm.kind == "gone"
    media = "application/json;stream=watch" if TABLE not in accept else "application/json;as=Table;stream=watch"
    # What is wrong with the request is said before the stream begins: afterwards there is no status any more.
    start, seconds = _start(cluster, wanted), seconds_of(wanted.query.get("timeoutSeconds"))
    return StreamingResponse(_events(cluster, wanted, accept, start, seconds, gone=gone), media_type=media)


def seconds_of(text: str | None) -> float:
    if not text:
        return WATCH_SECONDS
    if not text.isdigit():
        raise bad_request(f'Invalid value: "{text}": timeoutSeconds')
    return float(text) or WATCH_SECONDS


async def _events(
    cluster: Cluster, wanted: Wanted, accept: str, start: tuple[int, list[Obj]], seconds: float, *, gone: bool
) -> AsyncIterator[bytes]:
    """Changes as they happen, with bookmarks when asked for; ends after `seconds` or with a 410 event."""
    loop, wake = asyncio.get_running_loop(), asyncio.Event()

    def ring() -> None:
        loop.call_soon_threadsafe(wake.set)

    leave = cluster.store.subscribe(ring)
    try:
        version, first = start
        for obj in first:
            yield _line(cluster, wanted, ChangeType.ADDED, obj, accept)
        ends = loop.time() + seconds
        bookmarks = wanted.query.get("allowWatchBookmarks") in ("true", "1")
        while loop.time() < ends:
            wake.clear()
            with cluster.lock:
                changes = [] if gone else cluster.store.changes(version, wanted.resource.kind)
                newest = cluster.store.version
            if gone:
                raise Compacted(version, newest)
            for change in changes:
                for kind, obj in _seen(change, wanted):
                    yield _line(cluster, wanted, kind, obj, accept)
            version = newest
            try:
                await asyncio.wait_for(wake.wait(), min(BOOKMARK_SECONDS, max(0.01, ends - loop.time())))
            except TimeoutError:
                if bookmarks:
                    yield _bookmark(wanted, version)
    except Compacted as error:
        yield _raw("ERROR", expired(str(error)).status())
    finally:
        leave()


def _start(cluster: Cluster, wanted: Wanted) -> tuple[int, list[Obj]]:
    """From which version to go on, and what to send first: everything, when no version was named."""
    asked = wanted.query.get("resourceVersion", "")
    match = selection(wanted)
    with cluster.lock:
        if asked not in ("", "0"):
            if not asked.isdigit():
                raise bad_request(f'Invalid value: "{asked}": resourceVersion')
            return int(asked), []
        namespace = wanted.namespace if wanted.resource.namespaced else None
        found = cluster.store.list(wanted.resource.kind, namespace)
        return cluster.store.version, [obj for obj in found if match(obj)]


def _seen(change: Change, wanted: Wanted) -> list[tuple[ChangeType, Obj]]:
    """A change as a selective watcher sees it: coming into view is ADDED, leaving it DELETED."""
    if wanted.resource.namespaced and wanted.namespace not in (None, change.obj["metadata"].get("namespace")):
        return []
    match = selection(wanted)
    was = change.before is not None and match(change.before)
    is_now = change.type is not ChangeType.DELETED and match(change.obj)
    if is_now:
        return [(ChangeType.MODIFIED if was else ChangeType.ADDED, change.obj)]
    return [(ChangeType.DELETED, change.obj)] if was else []


def _line(cluster: Cluster, wanted: Wanted, kind: ChangeType, obj: Obj, accept: str) -> bytes:
    if TABLE in accept:
        version = obj["metadata"]["resourceVersion"]
        full = wanted.query.get("includeObject") == "Object"
        obj = table(wanted.resource, [obj], cluster.clock.now(), version=version, full=full)
    return _raw(kind.value, obj)


def _bookmark(wanted: Wanted, version: int) -> bytes:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    obj = {"kind": wanted.resource.kind, "apiVersion": wanted.resource.api_version, "metadata": metadata}
    return _raw("BOOKMARK", obj)


def _raw(kind: str, obj: Obj) -> bytes:
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"
