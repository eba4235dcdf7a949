"""Why not? The smallest change of the facts, or of one policy, after which the answer would be the other one.

Asked by people who were refused, and by those who wonder what keeps an allow from being given. Every proposal was
tried and flips the decision; it is advice, and nothing is changed here.

1. Facts: as few as possible, each moved as little as possible. See `fact_moves` for what may move.
2. Policies: one edit of one policy. A bound moved just far enough comes before the condition left out, and anything
   less before switching a policy off. See `edits`.
3. No proposal contains another one: undoing any part of it would take the flip away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aegis.policy.analysis.edit_search import EditSearch
from aegis.policy.analysis.edits import Edit
from aegis.policy.analysis.fact_moves import Move, Moves, Search, applied
from aegis.policy.analysis.reach import names_target
from aegis.policy.decision import Effect
from aegis.policy.documents import Policy
from aegis.policy.evaluate import Bundle
from aegis.policy.request import Request

MOST_PROPOSALS = 20


@dataclass(frozen=True, slots=True)
class Proposal:
    """Either `moves` of facts or one `edit`; `effect` is what the answer becomes."""

    effect: Effect
    sentence: str
    moves: Moves = ()
    edit: Edit | None = None

    def applied(self, documents: list[dict[str, Any]], request: Request) -> tuple[list[dict[str, Any]], Request]:
        """The policies and the request with the proposal."""
        if self.edit is not None:
            return self.edit.applied(documents), request
        return documents, applied(request, self.moves)

    def document(self) -> dict[str, Any]:
        written: dict[str, Any] = {"effect": self.effect, "sentence": self.sentence}
        if self.edit is None:
            return written | {"change": "facts", "facts": [move.document() for move in self.moves]}
        place = {"policy": self.edit.policy, "kind": self.edit.kind, "pointer": self.edit.pointer}
        return written | {"change": "policy", **place, "document": self.edit.document}


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The answer as it is, and what would flip it; `complete` False when there may be more, or smaller ones."""

    effect: Effect
    code: str
    sentence: str
    proposals: tuple[Proposal, ...]
    complete: bool

    def document(self) -> dict[str, Any]:
        return {
            "effect": self.effect,
            "code": self.code,
            "sentence": self.sentence,
            "proposals": [one.document() for one in self.proposals],
            "complete": self.complete,
        }


def why_not(bundle: Bundle, request: Request, *, most: int = MOST_PROPOSALS) -> WhyNot:
    """At most `most` proposals, facts first; none where up to three facts or one edit flip nothing.

    Bounded by a number of evaluations, whatever the policies; linear in the number of policies otherwise.
    """
    decision = bundle.evaluate(request)
    other: Effect = "deny" if decision.effect == "allow" else "allow"
    enforced = [one for one in bundle.policies.values() if one.mode == "enforce"]
    named = [one for one in enforced if names_target(one, request)]
    search = Search(request, lambda changed: bundle.evaluate(changed).effect == other)
    moves = search.fewest(_groups(named, decision.effect))
    edit_search = EditSearch(enforced, request, decision)
    edits = edit_search.least(most)
    proposals = [Proposal(other, _say(found, other), moves=found) for found in sorted(moves, key=_plainest)]
    proposals += [Proposal(other, f"with {edit.sentence} it is {_WORDS[other]}", edit=edit) for edit in edits]
    complete = search.complete and edit_search.complete and len(proposals) <= most
    return WhyNot(decision.effect, decision.code, decision.sentence, tuple(_shared(proposals, most)), complete)


_WORDS: dict[Effect, str] = {"allow": "allowed", "deny": "denied"}


def _shared(proposals: Sequence[Proposal], most: int) -> list[Proposal]:
    """Facts first, but never so many that no edit is left."""
    facts = [one for one in proposals if one.edit is None]
    edits = [one for one in proposals if one.edit is not None]
    room = max(most - len(edits), most // 2)
    return (facts[:room] + edits)[:most]


def _groups(named: Sequence[Policy], effect: Effect) -> list[list[Policy]]:
    """Policies whose facts decide together: an ALLOW with all DENYs, or for the way back a DENY alone or all ALLOWs."""
    allows = [one for one in named if one.effect == "ALLOW"]
    denies = [one for one in named if one.effect == "DENY"]
    if effect == "deny":
        return [[allow, *denies] for allow in allows]
    return [*([deny] for deny in denies), allows]


def _plainest(moves: Moves) -> tuple[int, int, str]:
    """Facts with a value before those that have to vanish, then roles, then waiting."""
    order = {"fact": 0, "role": 1, "time": 2}
    vanishing = sum("after" not in move.document() for move in moves if move.kind == "fact")
    return vanishing, sum(order[move.kind] for move in moves), ", ".join(move.path for move in moves)


def _say(moves: Moves, other: Effect) -> str:
    return f"with {' and '.join(map(_said, moves))} it is {_WORDS[other]}"


def _said(move: Move) -> str:
    written = move.document()
    if move.kind == "time":
        return f"the time {written['after']}"
    if move.kind == "role":
        return f"the role {move.path}" if move.after else f"no role {move.path}"
    return f"{move.path} {written['after']!r}" if "after" in written else f"no {move.path}"
