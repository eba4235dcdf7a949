"""Which namespaces the executor touches: an exact allow-list, with the cluster's and Aegis's own always left out.

Admission and planning ask it before anything is read from the cluster. A name is never trimmed, folded or normalised:
what is not exactly a name on the list is refused (P3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aegis.actions.refusals import Refusal, Refused

_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Namespaces:
    """`own` is the namespace Aegis itself runs in; `unsafe_protected` lifts the protection of it and of `kube-*`."""

    allowed: frozenset[str]
    own: str = "aegis-system"
    unsafe_protected: bool = False

    def check(self, namespace: str) -> None:
        """Raise `Refused` unless the namespace is exactly one of the allowed ones and not protected."""
        if _NAMESPACE.fullmatch(namespace) is None:
            raise Refused(Refusal.BAD_NAMESPACE, "this is not a namespace's name", field="/namespace")
        protected = namespace.startswith("kube-") or namespace == self.own
        if protected and not self.unsafe_protected:
            raise Refused(Refusal.NAMESPACE_PROTECTED, "this namespace is never acted in", field="/namespace")
        if namespace not in self.allowed:
            raise Refused(
                Refusal.NAMESPACE_NOT_ALLOWED, "this namespace is not on the executor's list", field="/namespace"
            )
