"""OPA, when an `opa` program is on PATH: its server on this machine, and the evaluation time that it reports itself.

Natural rules are what a person writes: the action, a role `in` the caller's, `startswith` on the resource. OPA's rule
index understands `glob.match`, and equality best: in the third form callers send a resource's segments apart and every
whole segment is compared with `==`. HTTP is not counted: only `timer_rego_query_eval_ns` is.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.engine import NotInstalled
from benchmarks.peers.workload import Question, Rule

SIGNS = {"eq": "==", "ne": "!=", "lte": "<=", "gte": ">="}
START_SECONDS = 60.0
HEAD = """package bench
default allow := false
default permitted := false
default denied := false
allow if {
  permitted
  not denied
}
"""


class Opa:
    """One server, with rules whose resource is tested by the lines of `resource`: `natural`, `globs` or `segments`."""

    pid: int | None = None
    port = 0

    def __init__(self, resource: Callable[[str], list[str]]) -> None:
        found = shutil.which("opa")
        if found is None:
            raise NotInstalled("opa")
        self._program, self._resource = found, resource
        self._process: subprocess.Popen[bytes] | None = None
        self._home = tempfile.TemporaryDirectory(prefix="aegis-opa-")
        self._connection: http.client.HTTPConnection

    def source(self, rules: Sequence[Rule]) -> str:
        bodies = [self._rule(rule, role, action) for rule in rules for role in rule.roles for action in rule.actions]
        return HEAD + "\n".join(bodies)

    def load(self, source: str) -> None:
        self._stop()
        path = Path(self._home.name) / "bench.rego"
        path.write_text(source)
        port = _free_port()
        command = [self._program, "run", "--server", "--disable-telemetry", "--log-level", "error"]
        self._process = subprocess.Popen([*command, "--addr", f"127.0.0.1:{port}", str(path)])
        self.pid, self.port = self._process.pid, port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        self._wait(self._process)

    def ask(self, question: Question) -> bytes:
        kind, namespace, name = question.resource.split("/")
        resource = {"resource": question.resource, "kind": kind, "namespace": namespace, "name": name}
        scope = {"action": question.action, "roles": question.roles, **resource}
        return json.dumps({"input": {**scope, **question.metadata, **question.clock}}).encode()

    def decide(self, ask: bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/v1/data/bench/allow?metrics=true", ask, headers)
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return answer

    def allowed(self, answer: dict[str, Any]) -> bool:
        return bool(answer["result"])

    def nanoseconds(self, answer: dict[str, Any]) -> int | None:
        return int(answer["metrics"]["timer_rego_query_eval_ns"])

    def close(self) -> None:
        self._stop()
        self._home.cleanup()

    def _stop(self) -> None:
        if self._process is not None:
            self._connection.close()
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self._connection.request("GET", "/health")
                self._connection.getresponse().read()
            except (ConnectionError, http.client.HTTPException):
                self._connection.close()
                time.sleep(0.005)
            else:
                return
        raise RuntimeError("opa did not start")

    def _rule(self, rule: Rule, role: str, action: str) -> str:
        minute = f"input.minute_{rule.zone}"
        lines = [f'input.action == "{action}"', *self._resource(rule.pattern), f'"{role}" in input.roles']
        lines += [f"input.day_{rule.zone} <= 4"] if rule.weekdays else []
        lines += [f"{minute} >= {rule.start}", f"{minute} < {rule.end}"]
        lines += [f"input.{rule.attribute} {SIGNS[rule.op]} {json.dumps(rule.value)}"]
        head = "permitted" if rule.effect == "ALLOW" else "denied"
        return f"{head} if {{\n  " + "\n  ".join(lines) + "\n}"


def natural(pattern: str) -> list[str]:
    if "*" not in pattern:
        return [f'input.resource == "{pattern}"']
    if pattern.index("*") == len(pattern) - 1:
        return [f'startswith(input.resource, "{pattern[:-1]}")']
    return [f'glob.match("{pattern}", ["/"], input.resource)']


def globs(pattern: str) -> list[str]:
    whole_kind = pattern.endswith("/*") and pattern.count("/") == 1
    return [f'glob.match("{pattern}{"*" if whole_kind else ""}", ["/"], input.resource)']


def segments(pattern: str) -> list[str]:
    lines = []
    for name, part in zip(("kind", "namespace", "name"), pattern.split("/"), strict=False):
        if not part.endswith("*"):
            lines.append(f'input.{name} == "{part}"')
        elif part != "*":
            lines.append(f'startswith(input.{name}, "{part[:-1]}")')
    return lines


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
