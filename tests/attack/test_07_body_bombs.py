"""Attack 7: huge, chunked, compressed, deep and slow bodies and heads: refused early, others are served meanwhile."""

from __future__ import annotations

import gzip
import socket
import tracemalloc
from collections.abc import Iterator

import pytest
from tests.attack.support_attack import attacked, world
from tests.integration.support_executor import ExecutorWorld

from aegis.kit import serving

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


def answered(world: ExecutorWorld, head: bytes, more: bytes) -> bytes:
    """What comes back while `more` is sent over and over, for at most 64 MiB, until the connection ends."""
    with socket.create_connection((world.server.host, world.server.port), timeout=30) as connection:
        try:
            connection.sendall(head)
            for _ in range(64 * MEBIBYTE // max(1, len(more)) if more else 0):
                connection.sendall(more)
            return connection.recv(4096)
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"GET /health/ping HTTP/1.1\r\nHost: localhost\r\nX: ", b"x" * MEBIBYTE),
        (b"GET /health/ping HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n" * 100_000),
        (b"GET /", b"x" * MEBIBYTE),
        (b"POST /v1/actions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * MEBIBYTE),
        (
            b"POST /v1/actions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
            b"X: y\r\n" * 100_000,
        ),
    ],
    ids=["value", "headers", "path", "chunk extension", "trailers"],
)
def test_a_head_without_end_is_cut_off(world: ExecutorWorld, head: bytes, more: bytes) -> None:
    assert b" 200 " not in answered(world, head, more)
    assert world.http.get(f"{world.server.url}/health/ping").status_code == 200


def test_a_head_that_does_not_come_is_not_waited_for(world: ExecutorWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.3)
    for head in (b"", b"GET /health/ping HTTP/1.1\r\nHost: localhost\r\n"):
        assert answered(world, head, b"") == b""
    asked = b"GET /health/ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert b" 200 " in answered(world, asked, b"")
    with socket.create_connection((world.server.host, world.server.port), timeout=30) as connection:
        connection.sendall(asked)
        answer = b""
        while not answer.endswith(b"}"):  # head and body may come one after the other
            answer += connection.recv(4096)
        assert b" 200 " in answer
        connection.sendall(asked[:10])  # a second one on the same connection
        assert connection.recv(4096) == b""
