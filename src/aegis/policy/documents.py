"""Policy documents: what people write, parsed strictly, with every refusal naming the field and the rule.

One JSON Schema generated from these models serves editor, command line and API. No regular expression, no code and no
network can be written here; depth, nodes and size are bounded, so evaluation is too.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from aegis.kit.errors import Invalid
from aegis.kit.strict_json import loads
from aegis.policy import bounds
from aegis.policy.request import Request, parse_request

MAX_BYTES = 64 * 1024
MAX_DEPTH = 8
MAX_NODES = 64
MAX_VALUES = 8192
MAX_TEXT = 1024
ROOTS = ("principal", "resource", "metadata", "context", "change")
SCOPES = ("principal", "action", "resource", "kind", "namespace", "environment")
ACTION = r"^(?:\*|[a-z][a-z_]{0,62}(?::[a-z_]{1,63})?)$"
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LISTED = ("in", "not_in")
TEXTUAL = ("starts_with", "ends_with", "matches", "cidr")
WRITTEN = ("matches", "cidr")
_SEGMENT = r"(?:\*|[A-Za-z0-9][A-Za-z0-9._-]*\*?)"
_RESOURCE = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,7}}", re.ASCII)
_PATH = re.compile(rf"(?:{'|'.join(ROOTS)})(?:\.[A-Za-z0-9_][A-Za-z0-9_/-]{{0,62}}){{1,7}}", re.ASCII)
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """`30s`, `5m`, `2h`, `1d`; raises ValueError otherwise."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a duration is a whole number and s, m, h or d, like 30m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _pattern(text: str) -> str:
    if _RESOURCE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not kind/namespace/name with * as a segment, its end, or the tail")
    return text


def _path(text: str) -> str:
    if _PATH.fullmatch(text) is None:
        raise ValueError(f"an attribute starts with one of {', '.join(ROOTS)} and a dot, in ASCII")
    return text


def _shown(rule: re.Pattern[str], longest: int) -> Any:
    """The rule for the JSON Schema; what is said about a breach is said by the validator beside it."""
    return Field(max_length=longest, json_schema_extra={"pattern": f"^{rule.pattern}$"})


Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$")]
Action = Annotated[str, Field(pattern=ACTION)]
Pattern = Annotated[str, _shown(_RESOURCE, 300), AfterValidator(_pattern)]
Path = Annotated[str, _shown(_PATH, 300), AfterValidator(_path)]
Duration = Annotated[str, _shown(_DURATION, 8), AfterValidator(lambda text: duration(text) and text)]
Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(bounds.readable)]
Scalar = Text | int | float | bool
Fulfillment = Literal["required", "best_effort"]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Attr(Model):
    """One comparison; `value_from` compares with another attribute of the same request."""

    attr: Path
    op: Literal[
        "eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "contains", "starts_with", "ends_with", "matches",
        "cidr", "exists",
    ]  # fmt: skip
    value: Scalar | list[Scalar] | None = None
    value_from: Path | None = None

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        given = (self.value is not None) + (self.value_from is not None)
        if self.op == "exists":
            if self.value_from is not None or not isinstance(self.value, bool | None):
                raise ValueError("exists takes true, false or nothing as value")
            return self
        if given != 1:
            raise ValueError("exactly one of value and value_from is needed")
        if self.value_from is not None and self.op in WRITTEN:
            raise ValueError(f"what {self.op} compares with is written in the policy: it needs a value")
        if self.value is not None and isinstance(self.value, list) != (self.op in LISTED):
            wanted = "a list" if self.op in LISTED else "one value, not a list,"
            raise ValueError(f"{self.op} needs {wanted} as value")
        self._check_value()
        return self

    def _check_value(self) -> None:
        if isinstance(self.value, list):
            if not 1 <= len(self.value) <= 256:
                raise ValueError(f"{self.op} lists 1 to 256 values")
        elif self.op in TEXTUAL and self.value is not None and not isinstance(self.value, str):
            raise ValueError(f"{self.op} compares with text")
        elif self.op in ("lt", "lte", "gt", "gte") and isinstance(self.value, bool):
            raise ValueError("true and false have no order")
        if self.op == "cidr" and isinstance(self.value, str):
            ipaddress.ip_network(self.value)


class Window(Model):
    """Start inclusive, end exclusive, in an IANA zone; past midnight it belongs to the day it starts on.

    An end at or before the start is on the next day, so that equal ones make a whole day.
    """

    timezone: Annotated[str, Field(max_length=64)]
    days: list[Day] = Field(default=list(DAYS), min_length=1, max_length=7)
    start: str = Field(alias="from", pattern=r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$")
    end: str = Field(alias="to", pattern=r"^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{name!r} is not an IANA time zone") from None
        return name


class Change(Model):
    """Bounds on one changed number; `max_percent` and `max_delta` bound the step, `min` and `max` the result."""

    field: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    max_percent: int | None = Field(default=None, ge=0, le=100_000)
    max_delta: int | None = Field(default=None, ge=0)
    min: int | None = None
    max: int | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if all(bound is None for bound in (self.max_percent, self.max_delta, self.min, self.max)):
            raise ValueError("a change has at least one of max_percent, max_delta, min and max")
        return self


class Condition(Model):
    """Exactly one of: all, any, not, time, change, or a comparison (attr, op, value) written flat."""

    all: list[Condition] | None = Field(default=None, min_length=1)
    any: list[Condition] | None = Field(default=None, min_length=1)
    not_: Condition | None = Field(default=None, alias="not")
    time: Window | None = None
    change: Change | None = None
    compare: Attr | None = None

    @model_validator(mode="before")
    @classmethod
    def _comparison(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "attr" in raw:
            return {"compare": raw}
        if isinstance(raw, dict) and "compare" in raw:
            raise ValueError("a comparison is written flat: attr, op, value")
        return raw

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a condition is exactly one of all, any, not, time, change, or attr/op/value")
        return self

    @model_serializer(mode="wrap")
    def _flat(self, handler: Any) -> Any:
        written = handler(self)
        return written.get("compare") or written

    def children(self) -> list[Condition]:
        return [*(self.all or ()), *(self.any or ()), *([self.not_] if self.not_ else ())]


class Principals(Model):
    """Role names; `*` is everybody."""

    roles: list[Annotated[str, Field(pattern=r"^(?:\*|[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?)$")]] = Field(
        min_length=1, max_length=64
    )


class Limit(Model):
    """At most `max` in `per` (rate) or at a time (concurrent), counted per combination of what `scope` names."""

    type: Literal["rate", "concurrent"]
    scope: list[Literal["principal", "action", "resource", "kind", "namespace", "environment"]] = Field(
        min_length=1, max_length=len(SCOPES)
    )
    max: int = Field(ge=1, le=1_000_000)
    per: Duration | None = None

    @model_validator(mode="after")
    def _period(self) -> Self:
        if (self.per is None) == (self.type == "rate"):
            raise ValueError("a rate needs per, a concurrent limit has none")
        if len(set(self.scope)) != len(self.scope):
            raise ValueError("a scope names each part once")
        return self


class ApprovalNeeds(Model):
    """Each default is a value, not "whatever is usual": only values can be compared when several approvals add up."""

    from_roles: list[Name] = Field(default=["approver"], min_length=1, max_length=64)
    count: int = Field(default=1, ge=1, le=10)
    within: Duration = "30m"


class RequireApproval(Model):
    type: Literal["require_approval"]
    fulfillment: Fulfillment = "required"
    with_: ApprovalNeeds = Field(alias="with", default=ApprovalNeeds())


class DryRunFirst(Model):
    type: Literal["dry_run_first"]
    fulfillment: Fulfillment = "required"


class VerifyNeeds(Model):
    within: Duration | None = None


class Verify(Model):
    type: Literal["verify"]
    fulfillment: Fulfillment = "required"
    with_: VerifyNeeds = Field(alias="with", default=VerifyNeeds())


class NotifyNeeds(Model):
    channel: str = Field(pattern=r"^[#@]?[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$")


class Notify(Model):
    type: Literal["notify"]
    fulfillment: Fulfillment = "required"
    with_: NotifyNeeds = Field(alias="with")


Obligation = Annotated[RequireApproval | DryRunFirst | Verify | Notify, Field(discriminator="type")]


class PolicyTest(Model):
    """A request at a time, and whether this document alone says ALLOW or DENY to it, or does not apply."""

    name: Text = Field(min_length=1)
    at: str = Field(max_length=40)
    expect: Literal["ALLOW", "DENY", "NO_MATCH"]
    request: dict[str, Any]

    @field_validator("at")
    @classmethod
    def _moment(cls, text: str) -> str:
        if datetime.fromisoformat(text).tzinfo is None:
            raise ValueError("a time carries its offset from UTC")
        return text

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            self.asked()
        except Invalid as error:
            raise ValueError(f"request{error.field or ''}: {error.message}") from None
        return self

    def asked(self) -> Request:
        """The request, at the test's time."""
        return parse_request(self.request, now=datetime.fromisoformat(self.at), simulation=True)


class Policy(Model):
    """One document. `mode: shadow` is evaluated and recorded, never enforced."""

    api_version: Literal["aegis.dev/v1"] = Field(alias="apiVersion")
    id: Name
    description: Annotated[Text, Field(max_length=500)] = ""
    owner: Annotated[Text, Field(max_length=100)] = ""
    labels: dict[Name, Annotated[Text, Field(max_length=100)]] = Field(default_factory=dict, max_length=32)
    effect: Literal["ALLOW", "DENY"]
    mode: Literal["enforce", "shadow"] = "enforce"
    principals: Principals
    actions: list[Action] = Field(min_length=1, max_length=64)
    resources: list[Pattern] = Field(min_length=1, max_length=256)
    conditions: Condition | None = None
    limits: list[Limit] = Field(default_factory=list, max_length=8)
    obligations: list[Obligation] = Field(default_factory=list, max_length=16)
    tests: list[PolicyTest] = Field(default_factory=list, max_length=64)

    @field_validator("conditions", mode="before")
    @classmethod
    def _bounded(cls, raw: Any) -> Any:
        """Counted on the raw document, so that ten thousand conditions cost no more than the first too many."""
        stack: list[tuple[Any, str, int]] = [(raw, "", 1)]
        nodes = 0
        while stack:
            condition, at, depth = stack.pop()
            nodes += 1
            branches = _branches(condition, at)
            if depth > MAX_DEPTH or nodes + len(branches) > MAX_NODES:
                rule = f"conditions are at most {MAX_DEPTH} deep and have at most {MAX_NODES} nodes"
                raise ValueError(f"{rule}, which are passed at /conditions{at}")
            stack += [(branch, where, depth + 1) for branch, where in branches]
        return raw

    @model_validator(mode="after")
    def _a_deny_only_denies(self) -> Self:
        if self.effect == "DENY" and (self.obligations or self.limits):
            raise ValueError("a DENY has no obligations and no limits")
        return self

    def document(self) -> dict[str, Any]:
        """What was written: JSON, by the names of the format, without defaults that were not written."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def canonical(self) -> bytes:
        """The bytes that its digest is taken over."""
        return canonical(self.document())


def _branches(condition: Any, at: str) -> list[tuple[Any, str]]:
    """What a condition as written consists of, and where each part is."""
    if not isinstance(condition, dict):
        return []
    lists = [(name, condition[name]) for name in ("all", "any") if isinstance(condition.get(name), list)]
    found = [(branch, f"{at}/{name}/{index}") for name, listed in lists for index, branch in enumerate(listed)]
    return [*found, *([(condition["not"], f"{at}/not")] if "not" in condition else [])]


def canonical(document: dict[str, Any]) -> bytes:
    """One spelling of a document: sorted keys, no spaces, UTF-8."""
    return msgspec.json.encode(document, order="deterministic")


def parse(raw: bytes | str) -> Policy:
    """The policy in strict JSON text; raises `Invalid` naming the field and the rule."""
    return validate(loads(sized(raw), max_bytes=MAX_BYTES))


def sized(raw: bytes | str, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes, when they are few enough to be read at all; asked before anything is parsed."""
    data = raw[: max_bytes + 1].encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if len(data) > max_bytes:
        ends = data.count(b"\n", 0, max_bytes) + 1
        rule = f"at most {max_bytes} bytes are accepted, and they end on line {ends}"
        raise Invalid("policy_too_large", rule, field="/")
    return data


def validate(document: Any) -> Policy:
    """The policy in an already strictly parsed document; raises `Invalid` naming the field and the rule."""
    bounds.check(document, depth=24, nodes=MAX_VALUES, text=MAX_BYTES, total=MAX_BYTES, nulls=("tests",))
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        where = _pointer(first["loc"], document, missing=first["type"] == "missing")
        raise Invalid("policy_invalid", message, field=where) from None


def _pointer(loc: tuple[int | str, ...], document: Any, *, missing: bool) -> str:
    """Where in the document: the parts of `loc` that are the model's own (tags of a union) are not in it."""
    here, parts = document, list[int | str]()
    for part in loc:
        inside = part in here if isinstance(here, dict) else isinstance(here, list) and isinstance(part, int)
        if inside:
            here = here[part]
            parts.append(part)
    if missing:
        parts.append(loc[-1])
    return bounds.pointer(parts) or "/"
