"""Trying again where that is harmless: reads, and dry runs. A change is never tried again by anything in here.

Planning, acting and reconciling read through it. Waiting is a function that is handed in, so that tests do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from aegis.actions.refusals import Refusal, Refused
from aegis.executor.cluster import ObjectGone, Throttled, Uncertain, Unreachable
from aegis.kit.errors import Unavailable

T = TypeVar("T")
Wait = Callable[[float], None]
PAUSE_SECONDS = 0.2


def patiently(read: Callable[[], T], wait: Wait) -> T:
    """What `read` gives, tried up to three times; raises `ObjectGone`, or `Unavailable` when it stays silent."""
    for last in (False, False, True):
        try:
            return read()
        except (Throttled, Unreachable, Uncertain) as error:
            if last:
                raise Unavailable("cluster_unavailable", error.message) from error
            wait(error.seconds if isinstance(error, Throttled) else PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


def present(read: Callable[[], T], wait: Wait) -> T:
    """Like `patiently`, for an object that has to be there; raises `Refused(object_gone)` when it is not."""
    try:
        return patiently(read, wait)
    except ObjectGone:
        raise Refused(Refusal.OBJECT_GONE, "the cluster has no such object") from None
