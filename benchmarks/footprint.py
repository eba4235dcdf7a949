"""What `aegis up` costs while nothing happens: seconds to start, memory of everything together, share of one core.

Run by `make bench` and by hand; it starts an installation of its own on free ports, twice (the second start is the warm
one), and measures the second. Memory is proportional set size: shared pages are counted once.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_BAR_SECONDS, MEMORY_BAR_MB, CPU_BAR_PERCENT = 8.0, 450.0, 5.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    name: str
    pid: int
    pss_mb: float
    cpu_seconds: float


def processes_of(root: int) -> list[int]:
    """`root` and everything below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


def sample(root: int) -> list[Sample]:
    samples = []
    for pid in processes_of(root):
        home = Path(f"/proc/{pid}")
        try:
            pss = re.search(r"^Pss:\s+(\d+) kB", (home / "smaps_rollup").read_text(), re.MULTILINE)
            fields = (home / "stat").read_text().rpartition(")")[2].split()
            name = (home / "comm").read_text().strip()
        except OSError:
            continue
        cpu = (int(fields[11]) + int(fields[12])) / TICKS
        samples.append(Sample(name, pid, int(pss[1]) / 1024 if pss else 0.0, cpu))
    return samples


def start(home: Path) -> tuple[subprocess.Popen[str], float]:
    """`aegis up` on free ports; returns once it says that it is up, with the seconds that took."""
    ports = [f"--{name}port=0" for name in ("", "engine-", "executor-", "kube-", "metrics-")]
    command = [sys.executable, "-m", "aegis.cli", "up", "--data-dir", str(home), *ports]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Aegis is up"):
            return process, time.monotonic() - began
    raise SystemExit(f"aegis up ended with code {process.wait()} before it was up")


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    process.stdout.read()
    process.wait(60)


def measure(*, settle: float, window: float) -> dict[str, Any]:
    home = Path(tempfile.mkdtemp(prefix="aegis-footprint-"))
    home.chmod(0o711)
    try:
        first, cold = start(home / "data")
        stop(first)
        process, warm = start(home / "data")
        try:
            time.sleep(settle)
            before = {item.pid: item for item in sample(process.pid)}
            time.sleep(window)
            after = sample(process.pid)
        finally:
            stop(process)
    finally:
        shutil.rmtree(home)
    rows: list[dict[str, Any]] = [
        {
            "name": item.name,
            "pss_mb": round(item.pss_mb, 1),
            "cpu_percent": round(100 * (item.cpu_seconds - before[item.pid].cpu_seconds) / window, 2),
        }
        for item in after
        if item.pid in before
    ]
    return {
        "start_cold_seconds": round(cold, 2),
        "start_warm_seconds": round(warm, 2),
        "pss_mb": round(sum(item.pss_mb for item in after), 1),
        "cpu_percent": round(sum(row["cpu_percent"] for row in rows), 2),
        "processes": rows,
    }


def missed(result: dict[str, Any]) -> list[str]:
    bars = {
        "start_warm_seconds": START_BAR_SECONDS,
        "pss_mb": MEMORY_BAR_MB,
        "cpu_percent": CPU_BAR_PERCENT,
    }
    return [f"{name} is {result[name]}, the bar is {bar:g}" for name, bar in bars.items() if result[name] > bar]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="settle for 5 s and watch for 10 s instead of 30 and 60")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    result = measure(settle=5 if options.quick else 30, window=10 if options.quick else 60)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        rows = result["processes"]
        print(f"{'process':<18}{'PSS MB':>10}{'CPU %':>10}")
        for row in rows:
            print(f"{row['name']:<18}{row['pss_mb']:>10.1f}{row['cpu_percent']:>10.2f}")
        print(f"{'together':<18}{result['pss_mb']:>10.1f}{result['cpu_percent']:>10.2f}")
        print(f"start: {result['start_cold_seconds']} s first, {result['start_warm_seconds']} s warm")
    for sentence in missed(result):
        print(f"bar not met: {sentence}", file=sys.stderr)
    return 1 if missed(result) else 0


if __name__ == "__main__":
    sys.exit(main())
