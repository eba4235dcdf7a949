"""What matching ALLOWs oblige to, added up to the strictest: one more policy never makes an action easier.

Used by the evaluator for every set of ALLOWs that matched together. Required wins over best effort, more approvals
over fewer, fewer approving roles over more, shorter times over longer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from aegis.policy import documents
from aegis.policy.decision import (
    ApprovalNeeded,
    DryRunNeeded,
    Fulfillment,
    Limit,
    NotifyNeeded,
    Obliged,
    VerifyNeeded,
)
from aegis.policy.documents import SCOPES, DryRunFirst, Notify, Policy, RequireApproval, Verify, duration


def merged(policies: Sequence[Policy]) -> tuple[Obliged, ...]:
    """All obligations of the policies, at most one of each kind and one `notify` per channel, in a fixed order."""
    duties = [duty for policy in policies for duty in policy.obligations]
    approvals = [duty for duty in duties if isinstance(duty, RequireApproval)]
    dry_runs = [duty for duty in duties if isinstance(duty, DryRunFirst)]
    verifications = [duty for duty in duties if isinstance(duty, Verify)]
    channels: dict[str, list[Notify]] = defaultdict(list)
    for duty in duties:
        if isinstance(duty, Notify):
            channels[duty.with_.channel].append(duty)
    return (
        *([_approval(approvals)] if approvals else ()),
        *([DryRunNeeded(_strict(dry_runs))] if dry_runs else ()),
        *(
            [VerifyNeeded(_soonest(v.with_.within for v in verifications), _strict(verifications))]
            if verifications
            else ()
        ),
        *(NotifyNeeded(channel, _strict(channels[channel])) for channel in sorted(channels)),
    )


def limits(policies: Sequence[Policy]) -> tuple[Limit, ...]:
    """All limits of the policies less those that a stricter one of the same type and scope implies."""
    found = {_limit(one) for policy in policies for one in policy.limits}
    kept = [one for one in found if not any(other != one and _implies(other, one) for other in found)]
    return tuple(sorted(kept, key=lambda one: (one.type, one.scope, one.per or timedelta(), one.max)))


def _approval(duties: Sequence[RequireApproval]) -> ApprovalNeeded:
    needs = [duty.with_ for duty in duties]
    roles = set(needs[0].from_roles).intersection(*(need.from_roles for need in needs))
    count, within = max(need.count for need in needs), _soonest(need.within for need in needs)
    return ApprovalNeeded(count, tuple(sorted(roles)), within, _strict(duties))


def _strict(duties: Iterable[RequireApproval | DryRunFirst | Verify | Notify]) -> Fulfillment:
    return "required" if any(duty.fulfillment == "required" for duty in duties) else "best_effort"


def _soonest(times: Iterable[str | None]) -> timedelta | None:
    return min((duration(text) for text in times if text is not None), default=None)


def _limit(written: documents.Limit) -> Limit:
    scope = tuple(name for name in SCOPES if name in written.scope)
    return Limit(written.type, scope, written.max, duration(written.per) if written.per else None)


def _implies(strict: Limit, loose: Limit) -> bool:
    """Whether whoever keeps `strict` keeps `loose` too: no more in at least as long."""
    if (strict.type, strict.scope) != (loose.type, loose.scope):
        return False
    return strict.max <= loose.max and (strict.per or timedelta()) >= (loose.per or timedelta())
