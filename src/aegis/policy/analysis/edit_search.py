"""The edits of one policy that flip a decision, found by trying them, and the least of those.

Used by why-not. An edited policy is tried alone first, which is enough: what the others say is known from the decision.
Those that remain are tried once more together with all policies for the request before they are proposed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from aegis.kit.errors import AegisError
from aegis.policy.analysis.edits import KINDS, Document, Edit, bounds, disabled, least, one_name_more, without_leaf
from aegis.policy.analysis.reach import PARTS, Part, lacking, names_role, names_target, similarity
from aegis.policy.compile import compile_stored
from aegis.policy.decision import Decision
from aegis.policy.documents import Policy, validate
from aegis.policy.request import Request

T = TypeVar("T")
MOST_POLICIES = 400  # whose conditions, or missing names, are looked at for one request


@dataclass(slots=True)
class EditSearch:
    """One search; `complete` False when there were more policies to look at, or more edits than wanted."""

    enforced: Sequence[Policy]
    request: Request
    decision: Decision
    complete: bool = True

    def least(self, most: int) -> list[Edit]:
        """At most `most` edits that flip the decision and contain no other one, the least kinds first."""
        concerned = {one.id: one for one in self.enforced if names_target(one, self.request)}
        concerned = {name: one for name, one in concerned.items() if names_role(one, self.request)}
        helping = [edit for edit in self._candidates(concerned) if self._flips_alone(edit)]
        found = sorted(least(helping), key=lambda one: KINDS.index(one.kind))
        self.complete = self.complete and len(found) <= most
        others = {name: one.document() for name, one in concerned.items()}
        return [edit for edit in found[:most] if self._flips(edit, others)]

    def _candidates(self, concerned: dict[str, Policy]) -> Iterator[Edit]:
        for policy in self._cut([concerned[name] for name in self._deciding(concerned)]):
            yield from bounds(policy, self.request)
            yield from without_leaf(policy)
            yield disabled(policy)
        for policy, part in self._cut(self._near()):
            yield from one_name_more(policy, self.request, part)

    def _deciding(self, concerned: dict[str, Policy]) -> list[str]:
        """The policies of which one alone could turn the answer."""
        behind = self.decision.policy_ids
        of = {effect: [name for name, one in concerned.items() if one.effect == effect] for effect in ("ALLOW", "DENY")}
        match self.decision.code:
            case "allow":
                return [*(behind if len(behind) == 1 else ()), *of["DENY"]]
            case "explicit_deny" | "deny_on_error":
                return list(behind) if len(behind) == 1 and self._allowed_without(behind[0], concerned) else []
            case "default_deny":
                return of["ALLOW"]
        return []

    def _allowed_without(self, name: str, concerned: dict[str, Policy]) -> bool:
        rest = [one.document() for other, one in concerned.items() if other != name]
        return compile_stored(rest).evaluate(self.request).effect == "allow"

    def _near(self) -> list[tuple[Policy, Part]]:
        """Policies that lack one name, most alike first: ALLOWs where nothing allows, DENYs where something does."""
        wanted = {"default_deny": "ALLOW", "allow": "DENY"}.get(self.decision.code)
        of_effect = [one for one in self.enforced if one.effect == wanted]
        near = [(one, part) for one in of_effect if (part := lacking(one, self.request)) is not None]
        return sorted(near, key=lambda pair: (PARTS.index(pair[1]), -similarity(pair[0], self.request), pair[0].id))

    def _cut(self, found: Sequence[T]) -> Sequence[T]:
        self.complete = self.complete and len(found) <= MOST_POLICIES
        return found[:MOST_POLICIES]

    def _flips_alone(self, edit: Edit) -> bool:
        """Whether the edited policy, on its own, says what would turn the answer."""
        edited = [edit.document] if edit.document is not None else []
        alone = compile_stored(edited).evaluate(self.request).code
        denies = alone in ("explicit_deny", "deny_on_error")
        match self.decision.code:
            case "default_deny":
                turns = alone == "allow"
            case "allow":
                turns = denies or (alone == "default_deny" and edit.policy in self.decision.policy_ids)
            case _:
                turns = alone == "default_deny"
        return turns and all(map(_acceptable, edited))

    def _flips(self, edit: Edit, others: dict[str, Document]) -> bool:
        """Whether the edited set decides otherwise; only policies for this role, action and resource can matter."""
        rest = [document for name, document in others.items() if name != edit.policy]
        edited = [edit.document] if edit.document is not None else []
        decision = compile_stored([*rest, *edited]).evaluate(self.request)
        return decision.effect != self.decision.effect and decision.code != "engine_error"


def _acceptable(document: Document) -> bool:
    """An edit can break a rule of the format, such as the number of names in a list."""
    try:
        validate(document)
    except AegisError:
        return False
    return True
