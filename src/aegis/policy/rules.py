"""A policy as the engine holds it: who it is for, a compiled test, and the document it was made of.

Made by `compile`, found through `index`, weighed by `evaluate`. The document stays as bytes until a text, an
obligation or a limit of it is asked for, so ten thousand policies that nobody asks about cost little.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aegis.policy.documents import Policy, validate
from aegis.policy.shapes import Test
from aegis.policy.windows import Hours

if TYPE_CHECKING:
    from aegis.policy.decision import Matched, Verdict

ALLOW, DENY, SHADOW_ALLOW, SHADOW_DENY = range(4)
KINDS = {
    ("ALLOW", "enforce"): ALLOW,
    ("DENY", "enforce"): DENY,
    ("ALLOW", "shadow"): SHADOW_ALLOW,
    ("DENY", "shadow"): SHADOW_DENY,
}


class Rule:
    """`mask` has the bit of each role that it is for; `verdict` is what is decided when it alone applies."""

    __slots__ = ("_policy", "hours", "id", "kind", "mask", "matched", "source", "test", "verdict")

    def __init__(self, name: str, kind: int, mask: int, test: Test, hours: tuple[Hours, ...], source: bytes) -> None:
        self.id = name
        self.kind = kind
        self.mask = mask
        self.test = test
        self.hours = hours
        self.source = source
        self.verdict: Verdict | None = None  # made when it is first needed
        self.matched: Matched | None = None  # how a decision names it, likewise
        self._policy: Policy | None = None

    @property
    def policy(self) -> Policy:
        """The document; raises `Invalid` when what was stored is none."""
        if self._policy is None:
            self._policy = validate(json.loads(self.source))
        return self._policy

    @property
    def effect(self) -> str:
        return "ALLOW" if self.kind in (ALLOW, SHADOW_ALLOW) else "DENY"
