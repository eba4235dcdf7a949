"""Keep-alive clients that cost little: each sends its next request as soon as it has the whole answer to the last.

One thread and one epoll for all of them, with requests written out beforehand, so that what is measured is the server.
How far the clients themselves are the limit is told by `ceiling`: the same against a server that does nothing.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

END, LENGTH = b"\r\n\r\n", b"content-length:"
Sent = tuple[bytes, bytes]  # a request, and what its answer has to hold

NOTHING = """
import asyncio, os, sys
if sys.argv[1]:
    os.sched_setaffinity(0, {int(sys.argv[1])})
ANSWER = b'HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: 2\\r\\n\\r\\n{}'
class Nothing(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(Nothing, '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass
class Load:
    """What came back: how many answers, the seconds that each took, and those that were not as they had to be."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    wrong: list[bytes] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """In milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def post(path: str, body: bytes, token: str = "") -> bytes:
    """One request, written out."""
    authorization = f"authorization: Bearer {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{authorization}content-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body)


def load(port: int, requests: Iterator[Sent], *, clients: int, seconds: float, warm_up: float = 0.5) -> Load:
    """Ask for `warm_up` and then for `seconds`, in which everything is counted."""
    ready = select.epoll()
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(clients)]
    waiting: dict[int, tuple[socket.socket, float, bytes]] = {}
    partial: dict[int, bytes] = {}
    found = Load(seconds)
    for one in connections:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready.register(one, select.EPOLLIN)
        request, wanted = next(requests)
        waiting[one.fileno()] = one, time.perf_counter(), wanted
        one.sendall(request)
    begin = time.perf_counter() + warm_up
    end = begin + seconds
    while (now := time.perf_counter()) < end:
        for number, _ in ready.poll(0.2):
            connection, since, wanted = waiting[number]
            data = connection.recv(1 << 20)
            if not data:
                raise ConnectionError("the server closed a connection")
            if number in partial:
                data = partial.pop(number) + data
            if not _whole(data):
                partial[number] = data
                continue
            now = time.perf_counter()
            if now >= begin:
                found.latencies.append(now - since)
                if wanted not in data or not data.startswith(b"HTTP/1.1 200"):
                    found.wrong.append(data)
            request, wanted = next(requests)
            waiting[number] = connection, now, wanted
            connection.sendall(request)
    for one in connections:
        one.close()
    ready.close()
    return found


def _whole(data: bytes) -> bool:
    head = data.find(END)
    if head < 0:
        return False
    at = data.find(LENGTH, 0, head)
    at = at if at >= 0 else data.lower().find(LENGTH, 0, head)
    return len(data) >= head + len(END) + int(data[at + len(LENGTH) : data.find(b"\r", at)])


def ceiling(requests: Iterator[Sent], *, clients: int, seconds: float, core: str) -> float:
    """Answers a second that the clients get from a server that only answers."""
    process = subprocess.Popen([sys.executable, "-c", NOTHING, core], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        return load(port, ((request, b"{}") for request, _ in requests), clients=clients, seconds=seconds).per_second
    finally:
        process.terminate()
        process.wait(10)


def cores() -> tuple[str, set[int]]:
    """One core for the server, the others for everything else; no core of its own on a machine that has only one."""
    known = sorted(os.sched_getaffinity(0))
    return (str(known[0]), set(known[1:])) if len(known) > 1 else ("", set(known))
