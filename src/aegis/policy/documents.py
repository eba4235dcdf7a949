"""Policy documents: what people write, parsed strictly, with every refusal naming the field and the rule.

One JSON Schema generated from these models serves editor, command line and API. No regular expression, no code and no
network can be written here; depth, nodes and size are bounded, so evaluation is too.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from aegis.kit.errors import Invalid
from aegis.kit.strict_json import loads

MAX_BYTES = 64 * 1024
MAX_DEPTH = 8
MAX_NODES = 64
ROOTS = ("principal", "resource", "metadata", "context", "change")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SEGMENT = r"(?:\*|[A-Za-z0-9][A-Za-z0-9._-]*\*?)"
_RESOURCE = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,7}}", re.ASCII)
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$")]
Scalar = str | int | float | bool


def duration(text: str) -> timedelta:
    """`30s`, `5m`, `2h`, `1d`; raises ValueError otherwise."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a duration is a whole number and s, m, h or d, like 30m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Attr(Model):
    """One comparison; `value_from` compares with another attribute of the same request."""

    attr: str
    op: Literal["eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "contains", "starts_with", "ends_with", "exists"]
    value: Scalar | list[Scalar] | None = None
    value_from: str | None = None

    @field_validator("attr", "value_from")
    @classmethod
    def _rooted(cls, path: str | None) -> str | None:
        if path is not None and (path.split(".")[0] not in ROOTS or "." not in path):
            raise ValueError(f"an attribute starts with one of {', '.join(ROOTS)} and a dot")
        return path

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        given = (self.value is not None) + (self.value_from is not None)
        if self.op != "exists" and given != 1:
            raise ValueError("exactly one of value and value_from is needed")
        if self.op in ("in", "not_in") and not isinstance(self.value, list):
            raise ValueError(f"{self.op} needs a list as value")
        if self.op not in ("in", "not_in") and isinstance(self.value, list):
            raise ValueError(f"{self.op} compares with one value, not a list")
        return self


class Window(Model):
    """Start inclusive, end exclusive, in an IANA zone; past midnight it belongs to the day it starts on."""

    timezone: str
    days: list[Day] = Field(default=list(DAYS), min_length=1)
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


class Condition(Model):
    """Exactly one of: all, any, not, time, change, or a comparison (attr, op, value)."""

    all: list[Condition] | None = Field(default=None, min_length=1)
    any: list[Condition] | None = Field(default=None, min_length=1)
    not_: Condition | None = Field(default=None, alias="not")
    time: Window | None = None
    change: Change | None = None
    compare: Attr | None = None

    @model_validator(mode="before")
    @classmethod
    def _comparison(cls, raw: Any) -> Any:
        """`{"attr": …, "op": …, "value": …}` is written flat."""
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

    def children(self) -> list[Condition]:
        return [*(self.all or ()), *(self.any or ()), *([self.not_] if self.not_ else ())]


class Principals(Model):
    roles: list[Name] = Field(min_length=1, max_length=64)


class ApprovalNeeds(Model):
    from_roles: list[Name] = Field(default=["approver"], min_length=1)
    count: int = Field(default=1, ge=1, le=10)
    within: str | None = None

    @field_validator("within")
    @classmethod
    def _duration(cls, text: str | None) -> str | None:
        if text is not None:
            duration(text)
        return text


class RequireApproval(Model):
    type: Literal["require_approval"]
    with_: ApprovalNeeds = Field(alias="with", default=ApprovalNeeds())


class DryRunFirst(Model):
    type: Literal["dry_run_first"]


class Verify(Model):
    type: Literal["verify"]


Obligation = Annotated[RequireApproval | DryRunFirst | Verify, Field(discriminator="type")]


class Policy(Model):
    """One document. `mode: shadow` is evaluated and recorded, never enforced."""

    api_version: Literal["aegis.dev/v1"] = Field(alias="apiVersion")
    id: Name
    description: str = Field(default="", max_length=500)
    owner: str = Field(default="", max_length=100)
    labels: dict[str, str] = Field(default_factory=dict, max_length=32)
    effect: Literal["ALLOW", "DENY"]
    mode: Literal["enforce", "shadow"] = "enforce"
    principals: Principals
    actions: list[Annotated[str, Field(pattern=r"^(?:\*|[a-z][a-z_]{0,62})$")]] = Field(min_length=1, max_length=64)
    resources: list[Annotated[str, Field(max_length=300)]] = Field(min_length=1, max_length=256)
    conditions: Condition | None = None
    obligations: list[Obligation] = Field(default_factory=list, max_length=16)

    @field_validator("resources")
    @classmethod
    def _patterns(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if _RESOURCE.fullmatch(pattern) is None:
                raise ValueError(f"{pattern!r} is not kind/namespace/name with * as a segment, its end, or the tail")
        return patterns

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.effect == "DENY" and self.obligations:
            raise ValueError("a DENY has no obligations")
        stack = [(self.conditions, 1)] if self.conditions else []
        nodes = 0
        while stack:
            condition, depth = stack.pop()
            nodes += 1
            if depth > MAX_DEPTH or nodes > MAX_NODES:
                raise ValueError(f"conditions are at most {MAX_DEPTH} deep and have at most {MAX_NODES} nodes")
            stack += [(child, depth + 1) for child in condition.children()]
        return self


def parse(raw: bytes | str) -> Policy:
    """The policy in strict JSON text; raises `Invalid` naming the field and the rule."""
    return validate(loads(raw, max_bytes=MAX_BYTES))


def validate(document: Any) -> Policy:
    """The policy in an already strictly parsed document; raises `Invalid` naming the field and the rule."""
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        where = "/" + "/".join(str(part) for part in first["loc"])
        raise Invalid("policy_invalid", message, field=where) from None
    except RecursionError:
        raise Invalid("policy_too_deep", f"conditions are at most {MAX_DEPTH} deep") from None
