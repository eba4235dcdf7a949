"""The tests that policies carry and those beside them: what each expects, what came out, and why.

`aegis policy test`, the editor and GitOps run it before a set is activated. A test inside a document asks that policy
alone, whatever its mode; a test beside may ask the whole set, as it would be enforced.

1. Of one policy alone: ALLOW when it applies and allows, DENY when it applies and denies, NO_MATCH when it does not.
2. Of the whole set: ALLOW when the answer is allow, DENY when it is deny for whatever reason, NO_MATCH when it is deny
   only because no policy matched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from aegis.kit.errors import Invalid
from aegis.policy.bounds import pointer
from aegis.policy.compile import compile_bundle
from aegis.policy.decision import Decision
from aegis.policy.documents import Policy, PolicyTest
from aegis.policy.evaluate import Bundle

Expect = Literal["ALLOW", "DENY", "NO_MATCH"]
MOST_CASES = 4096


@dataclass(frozen=True, slots=True)
class Case:
    """One test; `policy` None asks the whole set, and `source` and `pointer` say where it was written."""

    policy: str | None
    test: PolicyTest
    source: str
    pointer: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came out; `reason` is the decision's own sentence, or why it could not be asked."""

    case: Case
    passed: bool
    got: Expect | Literal["UNKNOWN_POLICY", "ERROR"]
    reason: str

    def document(self) -> dict[str, Any]:
        return {
            "policy": self.case.policy,
            "name": self.case.test.name,
            "source": self.case.source,
            "pointer": self.case.pointer,
            "expect": self.case.test.expect,
            "got": self.got,
            "passed": self.passed,
            "reason": self.reason,
        }


def inside(policies: Iterable[Policy]) -> Iterator[Case]:
    """The tests written inside the documents."""
    for policy in policies:
        for place, test in enumerate(policy.tests):
            yield Case(policy.id, test, policy.id, f"/tests/{place}")


def beside(document: Any, source: str) -> list[Case]:
    """The tests of a file beside the documents: `{"tests": [{"policy": …, name, at, expect, request}, …]}`.

    Without `policy` a test asks the whole set. Raises `Invalid` with the field for anything else.
    """
    written = document.get("tests") if isinstance(document, dict) and set(document) == {"tests"} else None
    if not isinstance(written, list):
        raise Invalid("tests_invalid", "a file of tests is an object with the one field tests, a list", field="/tests")
    if len(written) > MOST_CASES:
        raise Invalid("tests_too_many", f"at most {MOST_CASES} tests in one file", field="/tests")
    return [_case(one, source, f"/tests/{place}") for place, one in enumerate(written)]


def _case(written: Any, source: str, at: str) -> Case:
    if not isinstance(written, dict):
        raise Invalid("tests_invalid", "a test is an object", field=at)
    policy = written.get("policy")
    if policy is not None and not isinstance(policy, str):
        raise Invalid("tests_invalid", "policy is the id of one policy", field=f"{at}/policy")
    try:
        test = PolicyTest.model_validate({name: value for name, value in written.items() if name != "policy"})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise Invalid("tests_invalid", message, field=at + pointer(first["loc"])) from None
    return Case(policy, test, source, at)


def run(policies: Sequence[Policy], cases: Iterable[Case]) -> list[Result]:
    """Every case in order; never raises for a case that fails. Raises what compiling the set raises."""
    whole = compile_bundle(policies)
    alone: dict[str, Bundle] = {}
    results = []
    for case in cases:
        if case.policy is None:
            results.append(_of_all(case, whole))
            continue
        policy = whole.policies.get(case.policy)
        if policy is None:
            results.append(Result(case, passed=False, got="UNKNOWN_POLICY", reason=f"there is no policy {case.policy}"))
            continue
        if policy.id not in alone:
            alone[policy.id] = compile_bundle([policy.model_copy(update={"mode": "enforce"})])
        results.append(_of_one(case, alone[policy.id]))
    return results


def _of_one(case: Case, bundle: Bundle) -> Result:
    decision = bundle.evaluate(case.test.asked())
    if decision.code == "engine_error":
        return Result(case, passed=False, got="ERROR", reason=decision.sentence)
    got: Expect = "NO_MATCH"
    if decision.policies:
        got = "ALLOW" if decision.policies[0].effect == "ALLOW" else "DENY"
    return Result(case, got == case.test.expect, got, decision.sentence)


def _of_all(case: Case, bundle: Bundle) -> Result:
    decision = bundle.evaluate(case.test.asked())
    if decision.code == "engine_error":
        return Result(case, passed=False, got="ERROR", reason=decision.sentence)
    got = _answer(decision)
    passed = got == case.test.expect or (case.test.expect == "DENY" and decision.effect == "deny")
    return Result(case, passed, got, decision.sentence)


def _answer(decision: Decision) -> Expect:
    if decision.effect == "allow":
        return "ALLOW"
    return "NO_MATCH" if decision.code == "default_deny" else "DENY"
