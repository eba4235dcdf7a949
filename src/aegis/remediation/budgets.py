"""Hierarchical action budgets as token buckets: target → workload → namespace → cluster, and one per action kind.

The reconciler reads the buckets under a row lock, takes from all or from none, and stores them in the transaction
that makes a remediation ready; a restart refills nothing because tokens are a function of stored time alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from aegis.actions.model import ActionKind, Target


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket of `capacity` actions that refills evenly over `seconds`."""

    capacity: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults stop a runaway loop within one workload long before it can touch a second namespace's share."""

    target: Limit = Limit(3, 1800)
    workload: Limit = Limit(4, 3600)
    namespace: Limit = Limit(6, 3600)
    cluster: Limit = Limit(20, 3600)
    action: Limit = Limit(12, 3600)
    # Drawn from in addition while many incidents open together: one cause is likelier than many, so a few tries
    # must show that they help before anything else is touched.
    storm: Limit = Limit(3, 600)


@dataclass(frozen=True, slots=True)
class Bucket:
    """`tokens` left at `at`; a bucket never seen before is full."""

    key: str
    tokens: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Shortage:
    """The first budget that has no whole token left, and when it will."""

    key: str
    limit: Limit
    seconds_until_free: float

    @property
    def sentence(self) -> str:
        scope, _, name = self.key.partition(":")
        wait = max(1, round(self.seconds_until_free / 60))
        per = self.limit.seconds // 60
        return (
            f"the {scope} budget of {name} is used up ({self.limit.capacity} per {per} min); free again in {wait} min"
        )


def keys(target: Target, workload: str, action: ActionKind, limits: Limits, *, storm: bool) -> dict[str, Limit]:
    """The buckets one action draws from, narrowest first; each key names its scope."""
    during_storm = {f"storm:{target.namespace}": limits.storm} if storm else {}
    return during_storm | {
        f"target:{target}": limits.target,
        f"workload:{workload}": limits.workload,
        f"namespace:{target.namespace}": limits.namespace,
        "cluster:all": limits.cluster,
        f"action:{action}": limits.action,
    }


def refilled(bucket: Bucket, limit: Limit, now: datetime) -> float:
    """Tokens at `now`; a clock that went back refills nothing."""
    elapsed = max(0.0, (now - bucket.at).total_seconds())
    return min(float(limit.capacity), bucket.tokens + elapsed * limit.capacity / limit.seconds)


def take(
    wanted: Mapping[str, Limit], stored: Mapping[str, Bucket], now: datetime
) -> tuple[list[Bucket], Shortage | None]:
    """One token from every bucket, or from none.

    Returns the buckets to store and None, or an empty list and the first shortage (narrowest scope first).
    """
    after: list[Bucket] = []
    for key, limit in wanted.items():
        bucket = stored.get(key)
        tokens = float(limit.capacity) if bucket is None else refilled(bucket, limit, now)
        if tokens < 1.0:
            return [], Shortage(key, limit, (1.0 - tokens) * limit.seconds / limit.capacity)
        # A bucket written by a clock ahead of ours keeps its time, so that stepping back never refills twice.
        at = now if bucket is None else max(now, bucket.at)
        after.append(Bucket(key, tokens - 1.0, at))
    return after, None
