"""What why-not takes for a policy that concerns a request is what the engine takes for one."""

from __future__ import annotations

from hypothesis import given, settings
from tests.unit.policy import reference, strategies
from tests.unit.policy.reference import Ask, Document

from aegis.policy.analysis.reach import lacking, names_role, names_target
from aegis.policy.documents import validate
from aegis.policy.request import Request


def request(ask: Ask) -> Request:
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


@settings(max_examples=400, deadline=None)
@given(document=strategies.policies(), ask=strategies.requests())
def test_a_policy_is_for_a_request_where_the_reference_says_so(document: Document, ask: Ask) -> None:
    policy, asked = validate(dict(document)), request(ask)
    assert (names_role(policy, asked) and names_target(policy, asked)) is reference.concerns(document, ask)
    assert lacking(policy, asked) is None or not reference.concerns(document, ask)
