"""Live events: one connection listens to PostgreSQL and tells every open stream what changed, by id.

An event says what to read again, never what it is now. A stream that cannot keep up, or that may have missed something,
is ended: the client opens it again, is greeted, and reads everything anew.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from aegis.api.access import Doorkeeper, Who, doorkeeper_of, needs
from aegis.api.deps import V1
from aegis.api.metrics import Metrics
from aegis.kit.errors import AegisError, RateLimited, Unavailable
from aegis.storage.database import Database
from aegis.storage.sessions import Credential

log = structlog.get_logger()
Listener = psycopg.Connection[Any]
TOPICS = frozenset({"incident", "remediation", "alert", "state"})
HEARTBEAT_SECONDS = 15.0
LOOK_SECONDS = 5.0  # whoever lost the right to watch stops seeing within this time
BEHIND = 256  # events a stream may lag
STREAMS_PER_PERSON = 12  # tabs, and the ones whose end has not been noticed yet
RECONNECT_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Stream:
    """One client's queue; None in it is the end."""

    person: str
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(BEHIND))

    def offer(self, event: bytes) -> bool:
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            return False
        return True

    def end(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class Live:
    """All streams of one process. Everything but the listening thread runs on the event loop, so nothing is locked."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._streams: set[Stream] = set()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Begin to listen; called on the event loop that the streams run on."""
        self._loop = asyncio.get_running_loop()
        first = await run_in_threadpool(self._connect)
        threading.Thread(target=self._listen, args=(first,), name="events", daemon=True).start()

    def leave(self) -> None:
        """The process stops: end every stream and open no more. The thread ends by itself within a second."""
        self._stopping.set()
        self._end_all()

    def open(self, person: str) -> Stream:
        if self._stopping.is_set():
            raise Unavailable("stopping", "this process is stopping.", hint="Connect again in a moment.")
        if sum(stream.person == person for stream in self._streams) >= STREAMS_PER_PERSON:
            raise RateLimited("too_many_streams", f"at most {STREAMS_PER_PERSON} streams are open for one person.")
        stream = Stream(person)
        self._streams.add(stream)
        self._metrics.streams.set(len(self._streams))
        return stream

    def close(self, stream: Stream) -> None:
        self._streams.discard(stream)
        self._metrics.streams.set(len(self._streams))

    def _connect(self) -> Listener | None:
        try:
            return self._database.listen("aegis_events")
        except psycopg.Error as error:
            log.warning("events:not_listening", detail=str(error).strip())
            return None

    def _listen(self, listener: Listener | None) -> None:
        while not self._stopping.is_set():
            if listener is None:
                self._stopping.wait(RECONNECT_SECONDS)
                listener = self._connect()
                self._on_loop(self._end_all)  # whoever is connected has missed something meanwhile
                continue
            try:
                for note in listener.notifies(timeout=RECONNECT_SECONDS):
                    self._on_loop(self._tell, note.payload)
            except psycopg.Error as error:
                if not self._stopping.is_set():
                    log.warning("events:listener_lost", detail=str(error).strip())
                listener.close()
                listener = None
        if listener is not None:
            listener.close()

    def _on_loop(self, call: Callable[..., None], *arguments: str) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _tell(self, payload: str) -> None:
        event = encode(payload)
        if event is None:
            return
        for stream in list(self._streams):
            if not stream.offer(event):
                stream.end()

    def _end_all(self) -> None:
        for stream in self._streams:
            stream.end()


def encode(payload: str) -> bytes | None:
    """The wire form of a notification; None for one that is none of ours."""
    try:
        note = json.loads(payload)
    except ValueError:
        return None
    topic = note.get("event") if isinstance(note, dict) else None
    if not isinstance(topic, str) or topic not in TOPICS:
        return None
    data = {"id": note["id"]} if "id" in note else {}
    return f"event: {topic}\ndata: {json.dumps(data)}\n\n".encode()


def add_routes(app: FastAPI, live: Live) -> None:
    @app.get(f"{V1}/events", dependencies=[needs("state:read")], response_class=StreamingResponse)
    async def events(request: Request, who: Who) -> StreamingResponse:
        """`hello` first, then `incident`, `remediation`, `alert` and `state` with the id of what to read again."""
        doorkeeper = doorkeeper_of(request)
        credential = doorkeeper.credential(request)
        assert credential is not None  # whoever was let in showed one
        stream = live.open(who.name)
        body = _events(live, stream, doorkeeper, credential)
        return StreamingResponse(body, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(live: Live, stream: Stream, doorkeeper: Doorkeeper, credential: Credential) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    look_at, beat_at = loop.time() + LOOK_SECONDS, loop.time() + HEARTBEAT_SECONDS
    try:
        yield b"retry: 2000\nevent: hello\ndata: {}\n\n"
        while True:
            try:
                event = await asyncio.wait_for(stream.queue.get(), max(0.0, min(look_at, beat_at) - loop.time()))
            except TimeoutError:
                event = b""
            if event is None:
                return
            if event:
                yield event
            if loop.time() >= look_at:
                if not await _may_go_on(doorkeeper, credential):
                    return
                look_at = loop.time() + LOOK_SECONDS
            if loop.time() >= beat_at:
                yield b": still here\n\n"
                beat_at = loop.time() + HEARTBEAT_SECONDS
    finally:
        live.close(stream)


async def _may_go_on(doorkeeper: Doorkeeper, credential: Credential) -> bool:
    try:
        return await run_in_threadpool(doorkeeper.still_admits, credential, "state:read", f"{V1}/events")
    except AegisError:
        return False  # nobody can tell: the client connects again and is asked anew
