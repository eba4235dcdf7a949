"""The controller's way to the executor: signs each request and splits failures by what the caller may do next.

Only the controller builds one. It never retries: whether an effect may be tried again is the loop's decision, and it
needs to know whether nothing happened (`Refused`, `NotApplied`) or nobody can say yet (`OutcomeUnknown`).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args
from urllib.parse import quote

import httpx2

from aegis.actions.keys import HmacKeys
from aegis.actions.model import Action, ActionKind, ParamValue, Target
from aegis.actions.plan import Plan
from aegis.actions.ticket import canonical_body, sign_request
from aegis.kit.clock import Clock
from aegis.kit.errors import AegisError, Unavailable
from aegis.kit.strict_json import canonical, loads

Made = TypeVar("Made")
OutcomeState = Literal["open", "executed", "failed", "unknown"]
STATES = frozenset(get_args(OutcomeState))
MAX_ANSWER_BYTES = 1 << 20
_UNTOUCHED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class ActionRefused(AegisError):
    """The executor refused, nothing was touched; `code` names the rule."""

    kind = "refused"


class NotApplied(Unavailable):
    """Nothing was touched and trying later may help: the executor could not be reached or could not begin."""


class OutcomeUnknown(Unavailable):
    """The request may have taken effect; ask `outcome(id)` before anything else."""

    retriable = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The executor's journal about one action; `open` means it is still being carried out."""

    id: str
    state: OutcomeState
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    resource_version: str | None
    detail: str
    finished_at: str | None
    reconciled: bool
    evidence: dict[str, Any]

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Outcome:
        """Raises `ValueError` for a state that is none of ours: nobody knows what it says of the effect."""
        if document["state"] not in STATES:
            raise ValueError("no state of an outcome")
        return cls(**{name: document[name] for name in cls.__dataclass_fields__})


class ExecutorClient:
    """One connection pool to one executor; `close()` it."""

    def __init__(
        self, url: str, keys: HmacKeys, clock: Clock, *, http: httpx2.Client | None = None, seconds: float = 20.0
    ) -> None:
        self._url = url.rstrip("/")
        self._keys = keys
        self._clock = clock
        self._http = http or httpx2.Client(timeout=httpx2.Timeout(seconds, connect=3.0), trust_env=False)

    def close(self) -> None:
        self._http.close()

    def plan(self, kind: ActionKind, target: Target, params: dict[str, ParamValue]) -> Plan:
        """What the action would do now, from a dry run on the server; raises `ActionRefused` where it would be."""
        body = {
            "action": kind.value,
            "namespace": target.namespace,
            "kind": target.kind,
            "name": target.name,
            "params": params,
        }
        return _made(Plan.from_document, self._read("POST", "/v1/plan", canonical(body)), NotApplied)

    def act(self, action: Action, decision: str) -> Outcome:
        """Submit a ticket; at most one effect per `action.id`, however often this is called."""
        answer = self._send("POST", "/v1/actions", canonical_body(action), decision)
        return _made(Outcome.from_document, answer, OutcomeUnknown)

    def outcome(self, action_id: str) -> Outcome | None:
        """What the journal knows of an action, settled with the cluster where it was open; None if it never began."""
        try:
            answer = self._read("GET", f"/v1/actions/{quote(action_id, safe='')}")
            return _made(Outcome.from_document, answer, NotApplied)
        except ActionRefused as error:
            if error.code == "not_found":
                return None
            raise

    def withdraw(self, action_id: str) -> Outcome | None:
        """None, and the id can never begin any more, or what the journal knows because it has begun already."""
        path = f"/v1/actions/{quote(action_id, safe='')}"
        try:
            return _made(Outcome.from_document, self._read("DELETE", path), NotApplied)
        except ActionRefused as error:
            if error.code == "not_found":
                return None
            raise

    def facts(self, namespace: str, name: str) -> dict[str, Any]:
        """Replicas, revisions, pods and image of one Deployment, with its uid and generation."""
        return self._read("GET", f"/v1/objects/deployment/{quote(namespace, safe='')}/{quote(name, safe='')}")

    def put_safety(self, *, epoch: int, stopped: bool, mode: str) -> None:
        """Tell the executor the current epoch, mode and kill switch; an epoch never goes back."""
        self._read("PUT", "/v1/safety", canonical({"epoch": epoch, "stopped": stopped, "mode": mode}))

    def journal(self, after: int = 0, limit: int = 200) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._read("GET", f"/v1/journal?after={after}&limit={limit}")["items"]
        return items

    def health(self) -> dict[str, Any]:
        """The executor's own report; a report of `down` is an answer, not an error."""
        try:
            return _document(*self._exchange("GET", "/health", b"", {}))
        except httpx2.HTTPError as error:
            raise NotApplied("executor_unreachable", f"the executor does not answer ({type(error).__name__})") from None

    def _read(self, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        """A request without effect: whatever goes wrong, nothing was touched."""
        try:
            return self._send(method, path, body, "")
        except OutcomeUnknown as error:
            raise NotApplied(error.code, error.message) from None

    def _send(self, method: str, path: str, body: bytes, decision: str) -> dict[str, Any]:
        headers = sign_request(
            self._keys,
            method=method,
            path=path,
            body=body,
            decision=decision,
            now=self._clock.now(),
            nonce=secrets.token_urlsafe(24),
        )
        try:
            status, content = self._exchange(method, path, body, headers | {"Content-Type": "application/json"})
        except _UNTOUCHED as error:
            message = f"the executor cannot be reached ({type(error).__name__})"
            raise NotApplied("executor_unreachable", message) from None
        except httpx2.HTTPError as error:
            raise OutcomeUnknown("executor_silent", f"the executor did not answer ({type(error).__name__})") from None
        return _answer(status, content)

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and content of the answer, read no further than one byte past what any answer of ours has."""
        content, headers = bytearray(), headers | {"Accept-Encoding": "identity"}
        with self._http.stream(method, f"{self._url}{path}", content=body, headers=headers) as response:
            for chunk in response.iter_raw():  # a compressed one was not asked for and could be of any size
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    break
        return response.status_code, bytes(content)


def _made(make: Callable[[dict[str, Any]], Made], document: dict[str, Any], failure: type[Unavailable]) -> Made:
    """The value that a 200 carries; one in another form is not the executor's, whoever sent it."""
    try:
        return make(document)
    except (KeyError, TypeError, ValueError):
        raise failure("executor_garbled", "the executor answered in a form that is not its own") from None


def _answer(status: int, content: bytes) -> dict[str, Any]:
    document = _document(status, content)
    if status == 200:
        return document
    code = str(document.get("code", f"http_{status}"))
    message = str(document.get("detail", "the executor gave no reason"))
    if 400 <= status < 500:
        raise ActionRefused(code, message, field=document.get("field"), hint=document.get("hint"))
    if document.get("applied") is False:
        raise NotApplied(code, message)
    raise OutcomeUnknown(code, message)


def _document(status: int, content: bytes) -> dict[str, Any]:
    try:
        document = loads(content, max_bytes=MAX_ANSWER_BYTES)
    except AegisError:
        return {"detail": f"the executor answered {status} without JSON"}
    return document if isinstance(document, dict) else {"detail": json.dumps(document)[:200]}
