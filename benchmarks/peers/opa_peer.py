"""OPA, when an `opa` program is on PATH: its server on this machine, and the evaluation time that it reports itself.

Natural rules are what a person writes: a role `in` the caller's, the action, `startswith` on the resource. Its best way
is written for OPA's rule index, which understands equality (roles as keys of an object) and `glob.match`. HTTP is not
counted: only `timer_rego_query_eval_ns` is.
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
    """One server, with rules whose role and resource are tested by the lines of `scope`: `natural` or `indexed`."""

    pid: int | None = None

    def __init__(self, scope: Callable[[str, str], list[str]]) -> None:
        found = shutil.which("opa")
        if found is None:
            raise NotInstalled("opa")
        self._program, self._scope = found, scope
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
        self.pid = self._process.pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        self._wait(self._process)

    def ask(self, question: Question) -> bytes:
        facts = {"action": question.action, "resource": question.resource, **question.metadata, **question.clock}
        roles = {"roles": question.roles, "has_role": dict.fromkeys(question.roles, True)}
        return json.dumps({"input": {**facts, **roles}}).encode()

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
        lines = [f'input.action == "{action}"', *self._scope(role, rule.pattern)]
        lines += [f"input.day_{rule.zone} <= 4"] if rule.weekdays else []
        lines += [f"{minute} >= {rule.start}", f"{minute} < {rule.end}"]
        lines += [f"input.{rule.attribute} {SIGNS[rule.op]} {json.dumps(rule.value)}"]
        head = "permitted" if rule.effect == "ALLOW" else "denied"
        return f"{head} if {{\n  " + "\n  ".join(lines) + "\n}"


def natural(role: str, pattern: str) -> list[str]:
    member = f'"{role}" in input.roles'
    if "*" not in pattern:
        return [member, f'input.resource == "{pattern}"']
    if pattern.index("*") == len(pattern) - 1:
        return [member, f'startswith(input.resource, "{pattern[:-1]}")']
    return [member, f'glob.match("{pattern}", ["/"], input.resource)']


def indexed(role: str, pattern: str) -> list[str]:
    whole_kind = pattern.endswith("/*") and pattern.count("/") == 1
    glob = f"{pattern}*" if whole_kind else pattern
    return [f'input.has_role["{role}"] == true', f'glob.match("{glob}", ["/"], input.resource)']


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
