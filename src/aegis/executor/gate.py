"""The gate: every check of a request in the fixed order of `docs/decisions/0004-ticket-format.md`, up to the cluster.

The routes call it; past it a function holds a `Ticket`, which only the gate makes. It never touches the cluster, and
the journal checks decision, id and safety once more in the transaction that writes the intent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aegis.actions.catalogue import check_object_kind, kind_of, parse_params
from aegis.actions.keys import HmacKeys, VerifyingKeys
from aegis.actions.model import Action, ActionKind, ParamValue, Target
from aegis.actions.refusals import Refusal, Refused
from aegis.actions.ticket import (
    Decision,
    Signature,
    action_digest,
    check_name,
    load_canonical,
    parse_body,
    read_signature,
    verify_binding,
    verify_decision,
    verify_mac,
    verify_time,
)
from aegis.executor import journal, safety
from aegis.executor.database import Database
from aegis.executor.namespaces import Namespaces
from aegis.kit.clock import Clock

_PLAN_KEYS = frozenset({"action", "namespace", "kind", "name", "params"})
_SAFETY_KEYS = frozenset({"epoch", "stopped", "mode"})


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came: `path` is the target with its query, `body` at most the size limit."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Ticket:
    """An action whose decision is good now; `known` is its journal record when the id was begun before."""

    action: Action
    digest: str
    decision: Decision
    known: journal.Record | None


@dataclass(frozen=True, slots=True)
class Question:
    """What a plan is asked for."""

    kind: ActionKind
    target: Target
    params: Mapping[str, ParamValue]


class Gate:
    def __init__(
        self,
        database: Database,
        hmac_keys: HmacKeys,
        decision_keys: VerifyingKeys,
        namespaces: Namespaces,
        clock: Clock,
    ) -> None:
        self._database = database
        self._hmac_keys = hmac_keys
        self._decision_keys = decision_keys
        self._namespaces = namespaces
        self._clock = clock

    def authenticate(self, request: RawRequest) -> Signature:
        """Headers → MAC → time → nonce; a nonce is stored only once the MAC is good."""
        signature = read_signature(request.headers)
        verify_mac(self._hmac_keys, signature, method=request.method, path=request.path, body=request.body)
        now = self._clock.now()
        verify_time(signature, now)
        with self._database.begin() as connection:
            safety.use_nonce(connection, signature, now=now)
        return signature

    def ticket(self, request: RawRequest) -> Ticket:
        """Authentic → parsed → in the catalogue → namespace → decision → bound → approved → unused → epoch, switch."""
        signature = self.authenticate(request)
        action = parse_body(request.body)
        self._namespaces.check(action.target.namespace)
        decision = verify_decision(self._decision_keys, signature.decision, self._clock.now())
        verify_binding(decision, request.body, action)
        digest = action_digest(request.body)
        with self._database.begin() as connection:
            journal.check_unused(connection, decision)
            known = journal.find(connection, action.id)
            if known is None:
                safety.check(safety.read(connection), decision)
        if known is not None and known.intent.digest != digest:
            raise Refused(Refusal.ID_REUSED, "this id belongs to another action", field="/id")
        if known is not None and known.intent.decision.jti == decision.jti:  # begun between the two reads above
            raise Refused(Refusal.DECISION_USED, "this decision was used before")
        return Ticket(action, digest, decision, known)

    def question(self, request: RawRequest) -> Question:
        self.authenticate(request)
        document = load_canonical(request.body)
        if document.keys() != _PLAN_KEYS:
            odd = sorted(document.keys() ^ _PLAN_KEYS)[0]
            raise Refused(Refusal.BAD_BODY, "a field is missing or unknown", field=f"/{odd[:64]}")
        texts = [document[name] for name in ("action", "namespace", "kind", "name")]
        if not all(isinstance(value, str) for value in texts) or not isinstance(document["params"], dict):
            raise Refused(Refusal.BAD_BODY, "strings and an object of parameters are needed")
        kind = kind_of(document["action"])
        object_kind = check_object_kind(kind, document["kind"])
        params = parse_params(kind, document["params"]).document()
        self.allow(document["namespace"], document["name"])
        return Question(kind, Target(object_kind, document["namespace"], document["name"]), params)

    def wanted_safety(self, request: RawRequest) -> safety.Safety:
        self.authenticate(request)
        document = load_canonical(request.body)
        well_formed = (
            document.keys() == _SAFETY_KEYS
            and type(document["epoch"]) is int
            and document["epoch"] >= 1
            and type(document["stopped"]) is bool
            and document["mode"] in safety.MODES
        )
        if not well_formed:
            raise Refused(Refusal.BAD_BODY, "epoch (at least 1), stopped and mode are needed, nothing else")
        return safety.Safety(document["epoch"], document["stopped"], document["mode"])

    def allow(self, namespace: str, name: str) -> None:
        """Raise unless the object may be looked at at all."""
        self._namespaces.check(namespace)
        check_name(name)
