"""A real Prometheus as a child process: it scrapes targets, takes samples by remote write and answers PromQL.

The sandbox's own answers are held against it, and the loop is closed through it. Where `prometheus` is not installed
the tests fail and say so: an untested promise is not a kept one.
"""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

READY_SECONDS = 30.0
BEAT = 0.1  # seconds between two looks
# The bit pattern by which Prometheus marks that a series has ended.
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


@dataclass(frozen=True)
class RealPrometheus:
    """`url` is what `PrometheusSource` takes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, path: str, **parameters: str) -> dict[str, Any]:
        """The answer, whatever its status."""
        response = httpx2.post(f"{self.url}{path}", data=parameters, timeout=20.0, trust_env=False)
        answer: dict[str, Any] = response.json()
        return answer

    def until(self, ready: Callable[[], bool], *, within: float = READY_SECONDS) -> None:
        """Look again and again until `ready()`; fails with Prometheus' own log when it is not in time."""
        for _ in range(int(within / BEAT)):
            if ready():
                return
            try:
                self.process.wait(BEAT)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"prometheus ended with {self.process.returncode}:\n{self.log.read_text()}")
        raise AssertionError(f"not ready within {within:g} s; its log says:\n{self.log.read_text()[-2000:]}")

    def answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/-/ready", timeout=1.0, trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    def write(self, series: Iterable[tuple[Mapping[str, str], Sequence[tuple[float, float]]]]) -> None:
        """Samples (Unix seconds, value) by remote write; they span less than the hour that a fresh head accepts."""
        message = b"".join(_field(1, _series(labels, samples)) for labels, samples in series)
        headers = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        response = httpx2.post(
            f"{self.url}/api/v1/write", content=_snappy(message), headers=headers, timeout=20.0, trust_env=False
        )
        assert response.status_code == 204, response.text


@contextmanager
def real_prometheus(directory: Path, targets: Sequence[str] = (), interval: str = "1s") -> Iterator[RealPrometheus]:
    """A Prometheus that scrapes `/metrics` of `targets` (base URLs) every `interval`, with its data in `directory`."""
    binary = shutil.which("prometheus")
    assert binary is not None, "prometheus is not installed; on Debian: apt-get install prometheus"
    config = directory / "prometheus.yml"
    jobs = [{"job_name": "sandbox", "static_configs": [{"targets": [url.split("://")[-1] for url in targets]}]}]
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": interval}, "scrape_configs": jobs}))
    address, log = f"127.0.0.1:{_free_port()}", directory / "prometheus.log"
    command = [
        binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'prometheus-data'}",
        f"--web.listen-address={address}",
        "--web.enable-remote-write-receiver",
        "--log.level=warn",
    ]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            started = RealPrometheus(f"http://{address}", process, log)
            started.until(started.answers)
            yield started
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- remote write: protobuf and snappy, as little of both as a test needs --------------------------------------------


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _series(labels: Mapping[str, str], samples: Sequence[tuple[float, float]]) -> bytes:
    named = (_field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in sorted(labels.items()))
    valued = (
        _field(2, _varint(1 << 3 | 1) + struct.pack("<d", value) + _varint(2 << 3) + _varint(round(at * 1000)))
        for at, value in samples
    )
    return b"".join([*named, *valued])


def _snappy(content: bytes) -> bytes:
    """A valid snappy block made of literals only."""
    parts = [content[start : start + 65536] for start in range(0, len(content), 65536)]
    literals = (bytes([61 << 2]) + struct.pack("<H", len(part) - 1) + part for part in parts)
    return _varint(len(content)) + b"".join(literals)


def series_of(answer: Mapping[str, Any]) -> dict[str, dict[float, float]]:
    """A vector or matrix answer as values by time by labels."""
    assert answer["status"] == "success", answer
    found: dict[str, dict[float, float]] = {}
    for one in answer["data"]["result"]:
        pairs = one["values"] if "values" in one else [one["value"]]
        found[json.dumps(one["metric"], sort_keys=True)] = {float(at): float(value) for at, value in pairs}
    return found
