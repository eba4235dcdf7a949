"""Attack 7: huge, chunked, compressed, deep and slow bodies: refused early, and others are served meanwhile."""

from __future__ import annotations

import gzip
import socket
import tracemalloc
from collections.abc import Iterator

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

__all__ = ["attacked", "world"]
pytestmark = pytest.mark.integration

MEBIBYTE = 1 << 20


def test_a_body_over_the_limit_is_refused_and_recorded(world: ExecutorWorld) -> None:
    request = world.sign(b'"' + b"x" * (17 * 1024) + b'"')
    assert world.refused(request) == "body_too_large"


def test_a_chunked_body_without_a_length_is_counted_as_it_comes(world: ExecutorWorld) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 4096

    tracemalloc.start()
    response = world.http.post(f"{world.server.url}/v1/actions", content=endless())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert peak < 8 * MEBIBYTE


def test_a_compressed_body_is_not_opened(world: ExecutorWorld) -> None:
    bomb = gzip.compress(b"\0" * (10 * MEBIBYTE))
    headers = {"Content-Encoding": "gzip"}
    response = world.http.post(f"{world.server.url}/v1/actions", content=bomb[:16_000], headers=headers)
    assert (response.status_code, response.json()["code"]) == (415, "body_compressed")


def test_a_deeply_nested_body_is_refused(world: ExecutorWorld) -> None:
    depth = 7000
    assert world.refused(world.sign(b"[" * depth + b"]" * depth)) == "bad_json"


def test_an_unauthentic_request_costs_no_parsing(world: ExecutorWorld) -> None:
    request = world.sign(b"[" * 7000)
    forged = type(request)(request.method, request.path, {**request.headers, "Aegis-Signature": "0" * 64}, request.body)
    assert world.refused(forged) == "bad_signature"


def test_slow_senders_do_not_keep_others_from_being_served(world: ExecutorWorld) -> None:
    slow = []
    for _ in range(50):
        connection = socket.create_connection((world.server.host, world.server.port))
        connection.sendall(b"POST /v1/actions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        slow.append(connection)
    try:
        assert world.send(world.ticket(world.action())).json()["state"] == "executed"
    finally:
        for connection in slow:
            connection.close()
