"""Policies as the API shows and takes them: documents with their versions, changes of a set, and what was asked.

The modules of routes about policies share these models. A document itself stays an object here: `policy.documents`
alone says what it may hold, and its complaints keep pointing into the body that was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Header, Path, Query
from pydantic import BaseModel, Field

from aegis.api.route import Body
from aegis.kit.errors import Invalid, NotFound
from aegis.policy.bounds import pointer
from aegis.policy.documents import MAX_BYTES, Policy, canonical, validate
from aegis.policy.yaml_text import document_of
from aegis.storage.policies import PolicyVersion, Standing

Document = dict[str, Any]
Draft = Annotated[Document | str, Field(description="a policy as an object, or its text in JSON or YAML")]
Comment = Annotated[str, Field(max_length=500)]
Expected = Annotated[int | None, Field(ge=0, le=2**31 - 1, description="the newest version you have read; 0 for none")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
IfMatch = Annotated[str | None, Header(description='the ETag you have read, like `"3"`')]
ExpectedQuery = Annotated[int | None, Query(ge=0, le=2**31 - 1)]
CommentQuery = Annotated[str, Query(max_length=500)]
_ID = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
_ETAG = re.compile(r'"([0-9]{1,9})"', re.ASCII)
RESERVED = frozenset(
    {"audit", "backtests", "diff", "evaluate", "schema", "set", "simulate", "validate", "why-not"}
)  # they stand where an id stands in a path


class Written(Body):
    """A document with the reason for it; `activate` false keeps it out of force."""

    document: Draft
    comment: Comment = ""
    activate: bool = True
    expected_version: Expected = None


class Chosen(Body):
    """One of a policy's versions."""

    version: int = Field(ge=1, le=2**31 - 1)
    comment: Comment = ""
    expected_version: Expected = None


class Reason(Body):
    comment: Comment = ""
    expected_version: Expected = None


class VersionAnswer(BaseModel):
    policy_id: str
    version: int
    document: Document
    digest: str
    author: str
    comment: str
    created_at: datetime
    active: bool


class VersionPage(BaseModel):
    items: list[VersionAnswer]
    next_before: int | None


class PolicyAnswer(BaseModel):
    """`version` and what follows it are those in force, or the newest ones where none is."""

    id: str
    state: Literal["active", "disabled"]
    active_version: int | None
    newest_version: int
    version: int
    document: Document
    digest: str
    author: str
    comment: str
    created_at: datetime
    updated_at: datetime


class PolicyPage(BaseModel):
    items: list[PolicyAnswer]
    next_cursor: str | None


def policy_answer(found: Standing) -> PolicyAnswer:
    shown = found.shown
    return PolicyAnswer(
        id=found.policy_id,
        state="disabled" if found.active_version is None else "active",
        active_version=found.active_version,
        newest_version=found.newest_version,
        version=shown.version,
        document=shown.document,
        digest=shown.digest,
        author=shown.author,
        comment=shown.comment,
        created_at=shown.created_at,
        updated_at=found.updated_at,
    )


def version_answer(one: PolicyVersion, active: int | None) -> VersionAnswer:
    return VersionAnswer(
        policy_id=one.policy_id,
        version=one.version,
        document=one.document,
        digest=one.digest,
        author=one.author,
        comment=one.comment,
        created_at=one.created_at,
        active=one.version == active,
    )


def etag(version: int) -> str:
    """What `If-Match` brings back; it names the newest version, as `expected_version` does."""
    return f'"{version}"'


def expected(if_match: str | None, given: int | None) -> int | None:
    """The version that the caller has seen, from wherever it is said; raises `Invalid` for two that differ."""
    if if_match is None:
        return given
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise Invalid("bad_if_match", "If-Match carries one ETag of a policy.", hint='It looks like "3".')
    version = int(found[1])
    if given is not None and given != version:
        raise Invalid("two_preconditions", "If-Match and expected_version differ.", field="/expected_version")
    return version


def known_id(text: str) -> str:
    """An id from a path; raises `NotFound` for what cannot be one."""
    if _ID.fullmatch(text) is None:
        raise NotFound("policy_not_found", "there is no policy of this id.")
    return text


def read(draft: Document | str, at: str = "/document") -> Policy:
    """The policy that somebody wants saved; raises `Invalid`, pointing below `at`, for text with line and column."""
    try:
        document = document_of(draft) if isinstance(draft, str) else draft
        size = len(canonical(document))
        if size > MAX_BYTES:
            raise Invalid("policy_too_large", f"a policy has at most {MAX_BYTES} bytes; this has {size}", field="")
        policy = validate(document)
    except Invalid as error:
        raise Invalid(error.code, error.message, field=below(at, error.field), hint=error.hint) from None
    if policy.id in RESERVED:
        raise Invalid("policy_id_reserved", f"{policy.id} is the name of a route here.", field=f"{at}/id")
    return policy


def read_all(drafts: Iterable[Document | str], at: str = "/documents") -> list[Policy]:
    """Several at once, each pointed at by its place; two of one id are refused."""
    policies: dict[str, Policy] = {}
    for place, draft in enumerate(drafts):
        policy = read(draft, f"{at}{pointer([place])}")
        if policies.setdefault(policy.id, policy) is not policy:
            raise Invalid("policy_id_repeated", f"two policies have the id {policy.id}.", field=f"{at}/{place}/id")
    return list(policies.values())


def below(at: str, field: str | None) -> str:
    """A pointer into a document as one into the body that holds it."""
    return at if field in (None, "", "/") else f"{at}{field}"
