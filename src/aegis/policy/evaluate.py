"""The evaluator: a request against a compiled bundle, and an answer that says why.

Semantics
1. A policy applies when role, action and resource match and its conditions are true. No order, no priorities.
2. A condition that cannot be evaluated makes an ALLOW not apply and a DENY apply.
3. Any DENY denies; else any ALLOW allows; else the default denies.
4. Obligations of every matching ALLOW add up to the strictest: one more policy can only make an action stricter.
5. Pure: the same bundle and request give the same answer.
Every candidate is tested, also after a DENY, so that the answer names all that mattered. The cost is one lookup per
signature of the patterns in use, and one test per policy that fits action, resource and role.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aegis.policy import explain, obligations
from aegis.policy.decision import ApprovalNeeded, Code, Decision, Duties, Outcomes, Texts, Verdict, refusal
from aegis.policy.documents import Policy
from aegis.policy.index import EVERYBODY, EVERYTHING, MAX_SEGMENTS, Finder, Index
from aegis.policy.request import Request
from aegis.policy.rules import DENY, Rule

KEPT = 4096
_NOTHING_ALLOWS = Verdict("deny", "default_deny")


class Policies(Mapping[str, Policy]):
    """The documents of a bundle by id, each parsed when it is first looked at."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules

    def __getitem__(self, name: str) -> Policy:
        return self._rules[name].policy

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)


class Bundle:
    """Compiled policies, never changed; `digest` is the content hash of all of them.

    What it keeps beside that (role masks, finders, merged obligations) only saves work and is bounded.
    """

    __slots__ = ("_bits", "_finders", "_index", "_masks", "_merged", "digest", "policies")

    def __init__(self, digest: str, rules: Mapping[str, Rule], index: Index, bits: Mapping[str, int]) -> None:
        self.digest = digest
        self.policies: Mapping[str, Policy] = Policies(rules)
        self._index = index
        self._bits = bits
        self._finders: dict[str, list[Finder | None]] = {}
        self._masks: dict[tuple[str, ...], int] = {}
        self._merged: dict[tuple[Rule, ...], Verdict] = {}

    def evaluate(self, request: Request) -> Decision:
        """The decision. Never raises: what goes wrong in here denies as `engine_error`, because unsure means no."""
        try:
            allows: list[Rule] = []
            outcomes: list[tuple[Rule, int]] = []
            plain = True
            mask = self._masks.get(request.roles) or self._mask(request.roles)
            segments = request.resource.split("/")
            count = len(segments)
            finders = self._finders.get(request.action) or self._known(request.action)
            find = finders[count if count <= MAX_SEGMENTS else -1] or self._finder(request.action, count)
            for rule in find(segments, request.roles):
                if rule.mask & mask:
                    outcome = rule.test(request)
                    if outcome > 0:
                        outcomes.append((rule, outcome))
                    elif outcome or rule.kind:
                        outcomes.append((rule, outcome))
                        plain = False
                    elif rule not in allows:
                        allows.append(rule)
            if plain and len(allows) < 2:
                verdict = (allows[0].verdict or self._alone(allows[0])) if allows else _NOTHING_ALLOWS
            else:
                verdict = self._weigh(allows, outcomes)
            return Decision(verdict, self, request, outcomes)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not let the action through
            return _failed(error, self.digest)

    def explain(self, verdict: Verdict, request: Request, outcomes: Outcomes) -> Texts:
        """The words of a decision of this bundle."""
        return explain.texts(verdict, request, outcomes, self._fitting(request))

    def candidates(self, request: Request) -> list[Rule]:
        """The rules for the request's role, action and resource, whatever their conditions say, by id."""
        return sorted(set(self._fitting(request)), key=_by_id)

    def _fitting(self, request: Request) -> list[Rule]:
        """The same in no order, and one that is found twice stands there twice."""
        segments = request.resource.split("/")
        find = self._finder(request.action, len(segments))
        mask = self._masks.get(request.roles) or self._mask(request.roles)
        return [rule for rule in find(segments, request.roles) if rule.mask & mask]

    def _weigh(self, allows: list[Rule], outcomes: Outcomes) -> Verdict:
        denies = [one for one in outcomes if one[0].kind == DENY and one[1] <= 0]
        if denies:
            return _denied(denies)
        if not allows:
            return _NOTHING_ALLOWS
        if len(allows) == 1:
            return allows[0].verdict or self._alone(allows[0])
        return self._together(tuple(allows))

    def _together(self, allows: tuple[Rule, ...]) -> Verdict:
        verdict = self._merged.get(allows)
        if verdict is None:
            if len(self._merged) >= KEPT:
                self._merged = {}
            rules = tuple(sorted(allows, key=_by_id))
            verdict = self._merged[allows] = Verdict("allow", "allow", rules, _duties(rules))
        return verdict

    @staticmethod
    def _alone(rule: Rule) -> Verdict:
        verdict = rule.verdict = Verdict("allow", "allow", (rule,), _duties((rule,)))
        return verdict

    def _mask(self, roles: tuple[str, ...]) -> int:
        """The bits of the roles that some policy names, and the one that everybody has."""
        mask = self._bits[EVERYBODY]
        for role in roles:
            mask |= self._bits.get(role, 0)
        if len(self._masks) >= KEPT:
            self._masks = {}
        self._masks[roles] = mask
        return mask

    def _known(self, action: str) -> list[Finder | None]:
        """The finders of an action by number of segments; actions that no policy names share two sets of them."""
        if not self._index.knows(action):
            action = f"{EVERYTHING}:{EVERYTHING}" if ":" in action else EVERYTHING
        return self._finders.setdefault(action, [None] * (MAX_SEGMENTS + 2))

    def _finder(self, action: str, count: int) -> Finder:
        finders = self._known(action)
        place = min(count, MAX_SEGMENTS + 1)
        found = finders[place]
        if found is None:
            found = finders[place] = self._index.finder(action, place)
        return found


def _denied(denies: Outcomes) -> Verdict:
    if len(denies) == 1 and denies[0][1] == 0:
        rule = denies[0][0]
        if rule.verdict is None:
            rule.verdict = Verdict("deny", "explicit_deny", (rule,))
        return rule.verdict
    code: Code = "deny_on_error" if all(number for _, number in denies) else "explicit_deny"
    return Verdict("deny", code, tuple(sorted({rule for rule, _ in denies}, key=_by_id)))


def _duties(allows: tuple[Rule, ...]) -> Duties:
    policies = [rule.policy for rule in allows]
    merged = obligations.merged(policies)
    required = (one for one in merged if isinstance(one, ApprovalNeeded) and one.fulfillment == "required")
    return Duties(merged, obligations.limits(policies), next(required, None))


def _failed(error: Exception, digest: str) -> Decision:
    what = f"{type(error).__name__}: {error}"
    return refusal(
        "engine_error", f"the policy engine failed ({what}), and unsure means no", errors=(what,), bundle=digest
    )


def _by_id(rule: Rule) -> str:
    return rule.id
