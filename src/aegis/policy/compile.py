"""From documents to a bundle: validated, indexed, named by the hash of its content.

A document that does not validate makes the whole set unusable, and the caller keeps what it had: unsure means no.
`compile_bundle` is for documents from anywhere, `compile_stored` for those that were validated when they were saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from aegis.kit.errors import Conflict, Invalid
from aegis.policy.documents import Policy, canonical, validate
from aegis.policy.evaluate import Bundle
from aegis.policy.index import EVERYBODY, Index
from aegis.policy.rules import KINDS, Rule
from aegis.policy.shapes import Shaping

DOMAIN = b"aegis.policy.bundle.v1\0"


def compile_bundle(documents: Iterable[dict[str, Any] | Policy]) -> Bundle:
    """The bundle of these documents; raises `Invalid` for a bad one and `Conflict` for two of the same id."""
    return compile_stored(
        document.document() if isinstance(document, Policy) else _valid(document) for document in documents
    )


def compile_stored(documents: Iterable[dict[str, Any]]) -> Bundle:
    """The same bundle from documents that `validate` accepted before, some twenty microseconds each.

    They are not validated again, but nothing in them is trusted to be of its type either: what cannot be compiled
    raises `Invalid`, and what is only read later (texts, obligations) is validated then.
    """
    compiling = _Compiling()
    for document in documents:
        try:
            compiling.add(document)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            name = document.get("id") if isinstance(document, dict) else None
            raise Invalid("policy_unreadable", f"policy {name!r} cannot be compiled: {error!r}") from None
    return compiling.bundle()


def _valid(document: dict[str, Any]) -> dict[str, Any]:
    """The document itself: what `validate` accepts says what it was written as."""
    validate(document)
    return document


class _Compiling:
    """One pass over the documents; holds what they share."""

    def __init__(self) -> None:
        self._bits = {EVERYBODY: 1}
        self._shaping = Shaping()
        self._rules: dict[str, Rule] = {}
        self._index = Index()

    def add(self, document: dict[str, Any]) -> None:
        name = document["id"]
        if name in self._rules:
            raise Conflict("policy_id_repeated", f"two policies have the id {name!r}")
        roles = document["principals"]["roles"]
        mask = 0
        for role in roles:
            mask |= self._bits.setdefault(role, 1 << len(self._bits))
        test, hours = self._shaping.test(document.get("conditions"))
        kind = KINDS[document["effect"], document.get("mode", "enforce")]
        rule = self._rules[name] = Rule(name, kind, mask, test, hours, canonical(document))
        self._index.add(rule, roles, document["actions"], document["resources"])

    def bundle(self) -> Bundle:
        rules = {name: self._rules[name] for name in sorted(self._rules)}
        content = hashlib.sha256(DOMAIN)
        for rule in rules.values():
            content.update(rule.source + b"\n")
        self._index.freeze()
        return Bundle(content.hexdigest(), rules, self._index, self._bits)
