"""What an action would do, as shown to people and bound by their approval: the executor makes it, the API shows it.

A plan is the answer of a dry run on the server. Its digest covers what a person decides on, not the moving parts
(resourceVersion, pod readiness); this module never talks to anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aegis.actions.model import ActionKind, ParamValue, Target
from aegis.kit.strict_json import canonical

PLAN_DOMAIN = b"aegis.plan.v1\0"
Document = dict[str, Any]  # a JSON document at the border


@dataclass(frozen=True, slots=True)
class Plan:
    """`before`/`after` hold the fields the action touches, in full; `inverse` is the action that restores `before`."""

    uid: str
    generation: int
    resource_version: str
    before: Document
    after: Document
    diff: list[Document]
    inverse: Document | None
    reversible: bool
    blast_radius: Document
    facts: Document
    no_op: bool
    warnings: list[str]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Plan:
        return cls(**{name: document[name] for name in cls.__dataclass_fields__})

    def document(self) -> Document:
        return asdict(self)


def plan_digest(kind: ActionKind, target: Target, params: Mapping[str, ParamValue], plan: Plan) -> str:
    """SHA-256 hex of what was shown: another spec, diff, inverse or reach is another plan and needs a new approval."""
    shown = {
        "action": kind.value,
        "target": str(target),
        "params": dict(params),
        "uid": plan.uid,
        "generation": plan.generation,
        "before": plan.before,
        "diff": plan.diff,
        "inverse": plan.inverse,
        "blast_radius": plan.blast_radius,
    }
    return hashlib.sha256(PLAN_DOMAIN + canonical(shown)).hexdigest()
