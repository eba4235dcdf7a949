"""What policy is asked: who wants to do what to which resource, with facts that Aegis itself filled in.

Built by the controller and the API, never parsed from a caller's JSON except in a simulation; `now` is the server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """`resource` is `kind/namespace/name`; `change` is `{field: {"from": …, "to": …}}`; `now` is UTC-aware."""

    principal_id: str
    roles: tuple[str, ...]
    action: str
    resource: str
    now: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    change: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
