"""What is worth saying about a set of policies before it is activated, each with the place, the reason and a next step.

Made by the analysis; shown by `aegis policy check`, the API and the editor. A finding never changes a decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}
Code = Literal[
    "never_true",
    "always_true",
    "branch_never_true",
    "windows_never_open",
    "type_never_matches",
    "unknown_attribute",
    "shadowed_by_deny",
    "partly_shadowed",
    "subsumed",
    "redundant_deny",
    "unknown_role",
    "unknown_action",
    "every_role",
    "every_action",
    "every_resource",
    "crowded",
    "nobody_can_approve",
    "approval_roles_disjoint",
    "nobody_fulfils",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """`error`: it cannot do what it says; `warning`: probably not meant; `note`: worth knowing. `pointer` is JSON's."""

    code: Code
    severity: Severity
    policy: str
    pointer: str
    sentence: str
    next_step: str

    def document(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "policy": self.policy,
            "pointer": self.pointer,
            "sentence": self.sentence,
            "next_step": self.next_step,
        }


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, then by policy and place; each only once."""
    return sorted(
        set(findings), key=lambda one: (_ORDER[one.severity], one.policy, one.pointer, one.code, one.sentence)
    )
