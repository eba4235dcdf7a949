"""A Redis for tests: the real server on a free port of the loopback interface, stopped by its process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

START_SECONDS = 20.0


@dataclass
class RedisServer:
    """`with RedisServer(directory) as server: server.url`; `stop` and `start` again keep its port, not its content."""

    home: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None)

    def __post_init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = self.port or free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program is not None, "install redis-server"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [program, *options, "--dir", str(self.home), "--loglevel", "warning"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + START_SECONDS
        with self.client() as client:
            while not _answers(client):
                assert time.monotonic() < end, "redis-server does not answer"
                assert self._process.poll() is None, "redis-server ended"

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        """It takes connections and answers nothing, until `thaw`."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def client(self) -> Redis:
        """Somebody who may read and write everything in it."""
        return Redis(port=self.port)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False
