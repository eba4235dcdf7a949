"""From documents to a bundle: validated, indexed by action, named by the hash of its content.

A document that does not validate makes the whole set unusable, and the caller keeps what it had: unsure means no.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from aegis.kit.errors import Conflict
from aegis.policy.documents import Policy, validate
from aegis.policy.evaluate import Bundle

DOMAIN = b"aegis.policy.bundle.v1\0"


def compile_bundle(documents: Iterable[dict[str, Any] | Policy]) -> Bundle:
    """The bundle of these documents; raises `Invalid` for a bad one and `Conflict` for two of the same id."""
    policies: dict[str, Policy] = {}
    for document in documents:
        policy = document if isinstance(document, Policy) else validate(document)
        if policy.id in policies:
            raise Conflict("policy_id_repeated", f"two policies have the id {policy.id!r}")
        policies[policy.id] = policy
    by_action: dict[str, list[Policy]] = defaultdict(list)
    content = hashlib.sha256(DOMAIN)
    for name in sorted(policies):
        content.update(policies[name].canonical() + b"\n")
        for action in sorted(set(policies[name].actions)):
            by_action[action].append(policies[name])
    return Bundle(content.hexdigest(), policies, {action: tuple(found) for action, found in by_action.items()})
