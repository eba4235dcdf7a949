"""From a fault's first abnormal sample in Prometheus to the action, part by part, on a real `aegis up`.

Run by `make bench` and by hand. It starts an installation of its own on free ports, lets it learn, breaks the sandbox
one fault after the other, each on a healthy shop, and reads the times from the API. The detector's own delay is given
in sample time; the bar is on what the loop adds to it: at most one more scrape and two seconds.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

BAR_SECONDS = 2.0  # beyond the detector's own delay and one scrape
FAULTS = {"error_burst": "catalog", "cpu_saturation": "search", "memory_leak": "cart"}
QUICK = ("error_burst",)
STRENGTH = {"memory_leak": 5.0}
PATIENCE = 600.0
PASSWORD = "benchmark-only-pass-phrase"


@dataclass(frozen=True)
class Row:
    """Seconds. `added` is what the loop takes from the sample that settled the diagnosis to the effect."""

    fault: str
    fault_to_sample: float
    detector: float
    proposed: float
    intent: float
    effect: float
    added: float
    bar: float


@dataclass(frozen=True)
class System:
    api: httpx2.Client
    sandbox: httpx2.Client

    def get(self, path: str, **params: str) -> Any:
        return self.api.get(f"/api/v1{path}", params=params).raise_for_status().json()


@contextmanager
def installation() -> Iterator[System]:
    """`aegis up` in a directory of its own, in mode auto, with an admin logged in."""
    home = Path(tempfile.mkdtemp(prefix="aegis-latency-"))
    home.chmod(0o711)
    ports = [f"--{name}port=0" for name in ("", "engine-", "executor-", "kube-", "metrics-")]
    command = [sys.executable, "-m", "aegis.cli", "up", "--data-dir", str(home / "data"), *ports]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        said = _said(process)
        url, metrics = _found(r"Aegis is up after [\d.]+ s: (\S+)", said), _found(r"fault start \S+ --url (\S+)", said)
        with httpx2.Client(base_url=url, timeout=15) as api, httpx2.Client(base_url=metrics, timeout=60) as sandbox:
            _log_in(api, (home / "data" / "bootstrap-token").read_text().strip())
            api.put("/api/v1/safety/mode", json={"mode": "auto", "reason": "benchmark"}).raise_for_status()
            yield System(api, sandbox)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        shutil.rmtree(home, ignore_errors=True)


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "Stop: Ctrl-C" in line:
            return said
    raise SystemExit(f"aegis up ended with code {process.wait()}: {said}")


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit(f"aegis up did not say {pattern!r}:\n{text}")
    return found[1]


def _log_in(api: httpx2.Client, token: str) -> None:
    person = {"email": "bench@example.org", "password": PASSWORD}
    api.post("/api/v1/auth/bootstrap", json={**person, "token": token}).raise_for_status()
    answer = api.post("/api/v1/auth/tokens", json={**person, "name": "bench"}).raise_for_status().json()
    api.headers["Authorization"] = f"Bearer {answer['token']}"


def wait_for(what: str, look: Any) -> Any:
    """Poll until `look` gives something; the samples come every few seconds, so polling costs no accuracy."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.25)
    raise SystemExit(f"gave up after {PATIENCE:g} s: {what}")


def measure(system: System, fault: str, scrape: float) -> Row:
    wait_for("incidents stay open", lambda: not system.get("/incidents", state="open")["items"])
    entity = f"deployment/shop/{FAULTS[fault]}"
    body = {"kind": fault, "strength": STRENGTH.get(fault, 1.0)}
    started = time.time()
    running = system.sandbox.post("/sandbox/faults", json=body).raise_for_status().json()

    def acted() -> Any:
        for item in system.get("/incidents", state="open")["items"]:
            if item["entity"] == entity:
                incident = system.get(f"/incidents/{item['id']}")
                done = [one for one in incident["remediations"] if one["effect_at"]]
                if done:
                    return incident, done[0]
        return None

    incident, done = wait_for(f"no action on {entity} after {fault}", acted)
    system.sandbox.delete(f"/sandbox/faults/{running['id']}").raise_for_status()
    first = _seconds(incident["first_abnormal_at"])
    settled = float(incident["diagnosis"]["at"])
    entered = {row["state"]: _seconds(row["at"]) for row in done["history"]}
    effect = _seconds(done["effect_at"])
    return Row(
        fault=fault,
        fault_to_sample=round(first - started, 2),
        detector=round(settled - first, 2),
        proposed=round(entered["proposed"] - settled, 2),
        intent=round(entered["executing"] - entered["proposed"], 2),
        effect=round(effect - entered["executing"], 2),
        added=round(effect - settled, 2),
        bar=scrape + BAR_SECONDS,
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def trained(system: System) -> None:
    """Until every workload has a model: before that nothing is diagnosed, and so nothing is measured."""
    wait_for("the engine did not finish learning", lambda: _learnt(system))


def _learnt(system: System) -> bool:
    details = [one["detail"] for one in system.get("/state")["processes"] if one["name"] == "engine"]
    found = re.search(r"(\d+) of (\d+) workloads have a model", " ".join(details))
    return found is not None and int(found[1]) >= int(found[2]) > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one fault instead of three")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with installation() as system:
        scrape = float(system.sandbox.get("/sandbox/state").json()["interval_seconds"])
        trained(system)
        rows = [measure(system, fault, scrape) for fault in (QUICK if options.quick else FAULTS)]
    missed = [row for row in rows if row.added > row.bar]
    if options.json:
        print(json.dumps({"scrape_seconds": scrape, "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        show(rows, scrape)
    for row in missed:
        print(f"bar not met: {row.fault}: the loop added {row.added} s, the bar is {row.bar:g} s", file=sys.stderr)
    return 1 if missed else 0


def show(rows: list[Row], scrape: float) -> None:
    print(f"seconds; one scrape is {scrape:g} s; bar on what the loop adds: one scrape + {BAR_SECONDS:g} s")
    titles = ("fault→sample", "detector", "proposed", "intent", "effect", "added", "bar")
    print(f"{'fault':<16}" + "".join(f"{title:>14}" for title in titles))
    for row in rows:
        values = (row.fault_to_sample, row.detector, row.proposed, row.intent, row.effect, row.added, row.bar)
        print(f"{row.fault:<16}" + "".join(f"{value:>14.2f}" for value in values))


if __name__ == "__main__":
    sys.exit(main())
