"""A directory of policies as somebody would keep it, and `aegis policy` run on it with the real runner."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from aegis.cli.policy import app

NOON = "2026-03-03T12:00:00+01:00"
ASK: dict[str, Any] = {
    "principal": {"id": "ann", "roles": ["operator"]},
    "action": "scale_deployment",
    "resource": "deployment/prod/cart",
    "metadata": {"risk": 20},
    "change": {"replicas": {"from": 4, "to": 6}},
}
YAML = """\
apiVersion: aegis.dev/v1
id: office-hours
description: Careful steps in office hours
effect: ALLOW
principals: {roles: [operator]}
actions: [scale_deployment]
resources: [deployment/prod/*]
conditions:
  all:
    - time: {timezone: Europe/Berlin, from: "08:00", to: "18:00"}
    - change: {field: replicas, max_percent: 50}
tests:
  - name: a careful step
    at: "2026-03-03T12:00:00+01:00"
    expect: ALLOW
    request:
      principal: {id: ann, roles: [operator]}
      action: scale_deployment
      resource: deployment/prod/cart
      change: {replicas: {from: 4, to: 6}}
"""


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def aegis(*arguments: object, typed: str = "") -> Said:
    """`aegis policy …`, as it is run from a shell."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


def policy(policy_id: str, effect: str = "ALLOW", **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "aegis.dev/v1",
        "id": policy_id,
        "effect": effect,
        "principals": {"roles": ["operator"]},
        "actions": ["scale_deployment"],
        "resources": ["deployment/prod/*"],
    } | changes


def risky(policy_id: str = "never-risky", above: int = 50) -> dict[str, Any]:
    return policy(policy_id, "DENY", conditions={"attr": "metadata.risk", "op": "gt", "value": above})


def write(path: Path, document: Any) -> Path:
    """The document as a file; text is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document, indent=2), encoding="utf-8")
    return path


def case(expect: str, name: str = "a case", **request: Any) -> dict[str, Any]:
    return {"name": name, "at": NOON, "expect": expect, "request": ASK | request}
