"""What the tests share that ask the engine as they ask the reference: requests, verdicts side by side, settings.

The examples are the same in every run, so that a failure is the change's and not the day's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, assert_never

from hypothesis import settings
from tests.unit.policy.reference import Ask, Document, Verdict
from tests.unit.policy.strategies import CHANGES

from aegis.policy.compile import compile_bundle
from aegis.policy.decision import ApprovalNeeded, Decision, DryRunNeeded, NotifyNeeded, Obliged, VerifyNeeded
from aegis.policy.request import Request

SAME_EVERY_TIME = settings(derandomize=True, database=None)
FEW, MANY = settings(SAME_EVERY_TIME, max_examples=50), settings(SAME_EVERY_TIME, max_examples=200)
PLAIN = Ask("ada", ("sre",), "restart_pod", "pod/shop/cart", CHANGES[0], {}, {}, {})


def request_of(ask: Ask) -> Request:
    return Request(
        principal_id=ask.principal,
        roles=ask.roles,
        action=ask.action,
        resource=ask.resource,
        now=ask.now,
        metadata=ask.metadata,
        context=ask.context,
        change=ask.change,
    )


def answer(documents: Sequence[Document], ask: Ask) -> Decision:
    return compile_bundle([dict(one) for one in documents]).evaluate(request_of(ask))


def verdict_of(decision: Decision) -> Verdict:
    return Verdict(
        effect=decision.effect,
        code=decision.code,
        policies=tuple(sorted(one.id for one in decision.policies)),
        errors=tuple(sorted(one.partition(":")[0] for one in decision.errors)),
        shadow=tuple(sorted(one.id for one in decision.shadow)),
        obligations=obligations_of(decision.obligations),
        limits={(one.type, tuple(sorted(one.scope)), whole_seconds(one.per)): one.max for one in decision.limits},
    )


def obligations_of(obliged: Sequence[Obliged]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in obliged:
        required = one.fulfillment == "required"
        match one:
            case ApprovalNeeded():
                within = whole_seconds(one.within)
                found[one.type] = {
                    "required": required,
                    "within": within,
                    "count": one.count,
                    "roles": sorted(one.roles),
                }
            case DryRunNeeded():
                found[one.type] = {"required": required}
            case VerifyNeeded():
                found[one.type] = {"required": required, "within": whole_seconds(one.within)}
            case NotifyNeeded():
                found.setdefault(one.type, {})[one.channel] = required
            case _:
                assert_never(one)
    return found


def whole_seconds(length: timedelta | None) -> int | None:
    return None if length is None else int(length.total_seconds())


def bytes_of(decision: Decision) -> bytes:
    return json.dumps(decision.document()).encode()
