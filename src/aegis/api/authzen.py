"""AuthZEN 1.0 (OpenID Authorization API, final of January 2026): evaluation and evaluations in its own form.

Gateways that know the standard plug in here. Subject, action and resource become a request like any other:
`subject.properties.roles` are the roles, `resource` is `type/id`, its properties are `metadata`, and the properties of
subject and action are `context.subject` and `context.action`.

A caller of this form knows yes and no only, so an allow with limits or required obligations is a no (semantics 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from aegis.api.evaluate import Desk, Given, Wanted
from aegis.api.evaluation_document import MOST_QUESTIONS
from aegis.api.questions import Asked, Questions, document_of
from aegis.kit.errors import Invalid
from aegis.policy.cache import Answer
from aegis.policy.documents import MAX_BYTES
from aegis.policy.request import parse_request

PREFIX = "/access/v1"
MAX_BYTES_OF_MANY = 1 << 20
PARTS = ("subject", "action", "resource", "context")
SEMANTICS: dict[str, Callable[[Answer], bool]] = {
    "execute_all": lambda _: False,
    "deny_on_first_deny": lambda found: found.effect == "deny",
    "permit_on_first_permit": lambda found: found.effect == "allow",
}


class Evaluation:
    """`POST /access/v1/evaluation`."""

    path = f"{PREFIX}/evaluation"
    max_bytes = MAX_BYTES
    echoes = True

    def __init__(self) -> None:
        self._questions = Questions()

    def read(self, body: bytes, desk: Desk) -> tuple[Wanted, Callable[[list[Given]], bytes]]:
        asked = self._questions.get(body)
        if asked is None:
            document = _object(document_of(body, max_bytes=self.max_bytes), "")
            asked = _asked({name: document[name] for name in PARTS if name in document}, desk)
            self._questions.add(body, asked)
        return Wanted((asked,), rule=yes_or_no), lambda given: _decision(given[0])


class Evaluations:
    """`POST /access/v1/evaluations`; without a list it is one evaluation."""

    path = f"{PREFIX}/evaluations"
    max_bytes = MAX_BYTES_OF_MANY
    echoes = True

    def read(self, body: bytes, desk: Desk) -> tuple[Wanted, Callable[[list[Given]], bytes]]:
        document = _object(document_of(body, max_bytes=self.max_bytes), "")
        defaults = {name: document[name] for name in PARTS if name in document}
        listed = document.get("evaluations", [])
        if not isinstance(listed, list) or len(listed) > MOST_QUESTIONS:
            raise Invalid("request_invalid", f"a list of at most {MOST_QUESTIONS} evaluations", field="/evaluations")
        if not listed:
            return Wanted((_asked(defaults, desk),), rule=yes_or_no), lambda given: _decision(given[0])
        semantic = _semantic(document)
        readable: list[Asked] = []
        outcomes: list[Invalid | None] = []  # per evaluation: why it cannot be read, or that it can
        for place, one in enumerate(listed):
            try:
                own = _object(one, f"/evaluations/{place}")
                readable.append(_asked(defaults | {name: own[name] for name in PARTS if name in own}, desk))
                outcomes.append(None)
            except Invalid as error:
                outcomes.append(error)
                if semantic == "deny_on_first_deny":
                    break
        wanted = Wanted(readable, rule=yes_or_no, enough=SEMANTICS[semantic])
        return wanted, lambda given: _decisions(given, outcomes, SEMANTICS[semantic])


def yes_or_no(found: Answer) -> Answer:
    """The answer for whoever fulfils no obligation and counts no limit."""
    if found.effect != "allow":
        return found
    decision = msgspec.json.decode(found.body)
    duties = [one["type"] for one in decision["obligations"] if one["fulfillment"] == "required"]
    duties += ["limits"] if decision["limits"] else []
    if not duties:
        return found
    sentence = f"this form of asking cannot take on {', '.join(duties)}"
    refused = decision | {"effect": "deny", "code": "obligation_unmet", "sentence": sentence}
    return replace(found, effect="deny", code="obligation_unmet", body=msgspec.json.encode(refused))


def _asked(parts: dict[str, Any], desk: Desk) -> Asked:
    subject, action, resource = (_entity(parts, name) for name in ("subject", "action", "resource"))
    about, how = _properties(subject, "subject"), _properties(action, "action")
    context = dict(_object(parts.get("context", {}), "/context"))
    roles = about.pop("roles", [])
    for name, properties in (("subject", about), ("action", how)):
        if properties and name in context:
            raise Invalid("request_invalid", f"{name} is where the properties of {name} go", field=f"/context/{name}")
        if properties:
            context[name] = properties
    request = {
        "principal": {"id": _text(subject, "subject", "id"), "roles": roles},
        "action": _text(action, "action", "name"),
        "resource": f"{_text(resource, 'resource', 'type')}/{_text(resource, 'resource', 'id')}",
        "metadata": _properties(resource, "resource"),
        "context": context,
    }
    _text(subject, "subject", "type")
    try:
        return Asked(parse_request(request, now=desk.clock.now()))
    except Invalid as error:
        raise Invalid(error.code, error.message, field=_their_words(error.field or "/"), hint=error.hint) from None


def _their_words(pointer: str) -> str:
    """Where in the standard's form a part of our request comes from."""
    for ours, theirs in (
        ("/principal/roles", "/subject/properties/roles"),
        ("/principal", "/subject"),
        ("/action", "/action/name"),
        ("/metadata", "/resource/properties"),
    ):
        if pointer.startswith(ours):
            return theirs + pointer.removeprefix(ours)
    return pointer


def _entity(parts: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in parts:
        raise Invalid("request_invalid", f"{name} is missing", field=f"/{name}")
    return _object(parts[name], f"/{name}")


def _properties(entity: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(_object(entity.get("properties", {}), f"/{name}/properties"))


def _text(entity: dict[str, Any], name: str, part: str) -> str:
    value = entity.get(part)
    if not isinstance(value, str) or not value:
        raise Invalid("request_invalid", f"{part} of {name} is a text", field=f"/{name}/{part}")
    return value


def _object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("request_invalid", "an object is needed here", field=at or "/")
    return value


def _semantic(document: dict[str, Any]) -> str:
    options = _object(document.get("options", {}), "/options")
    semantic = options.get("evaluations_semantic", "execute_all")
    if not isinstance(semantic, str) or semantic not in SEMANTICS:
        known = ", ".join(SEMANTICS)
        raise Invalid("request_invalid", f"one of {known}", field="/options/evaluations_semantic")
    return semantic


def _decision(given: Given) -> bytes:
    return b'{"decision":%b,"context":%b}' % (b"true" if given.answer.effect == "allow" else b"false", given.body())


def _decisions(given: list[Given], outcomes: list[Invalid | None], enough: Callable[[Answer], bool]) -> bytes:
    """Answers and errors in the order in which they were asked for, up to the one that was enough."""
    answers = iter(given)
    written: list[bytes] = []
    for error in outcomes:
        if error is not None:
            written.append(_unreadable(error))
            continue
        one = next(answers, None)
        if one is None:
            break
        written.append(_decision(one))
        if enough(one.answer):
            break
    return b'{"evaluations":[%b]}' % b",".join(written)


def _unreadable(error: Invalid) -> bytes:
    """What cannot be read is a no, with the reason where the standard puts it."""
    problem = {"status": 422, "code": error.code, "message": error.message, "field": error.field}
    return msgspec.json.encode({"decision": False, "context": {"error": problem}})
