"""The policies of a running Aegis, page by page, for the commands that look at or compare with what is in force.

It only reads; a document of a newer Aegis than this one is refused rather than half understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aegis.cli.client import Api
from aegis.cli.policy.sources import read
from aegis.kit.errors import Invalid
from aegis.policy.documents import Policy, validate

PAGE = 200


def standings(api: Api) -> Iterator[dict[str, Any]]:
    """Every policy as the API shows it, by id."""
    cursor = None
    while True:
        page = api.get("/policies", limit=PAGE, cursor=cursor)
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def in_force(items: list[dict[str, Any]]) -> list[Policy]:
    return [parsed(one) for one in items if one["state"] == "active"]


def parsed(item: dict[str, Any]) -> Policy:
    try:
        return validate(item["document"])
    except Invalid as error:
        name = item.get("id") or item["policy_id"]
        message = f"the server's policy {name} is of a format that is not known here: {error.message}"
        raise Invalid(error.code, message, field=error.field, hint="Use the `aegis` of the server's version.") from None


def afterwards(before: Sequence[Policy], wanted: Sequence[Policy], *, prune: bool) -> list[Policy]:
    """The set there would be: pruned to what is wanted, or what is wanted among what stays."""
    names = {policy.id for policy in wanted}
    return [*wanted] if prune else [*(policy for policy in before if policy.id not in names), *wanted]


def chosen(paths: list[Path] | None) -> list[Policy]:
    """Those in the files, or those in force where no file is named."""
    if paths:
        return list(read(paths).policies)
    with Api() as api:
        return in_force(list(standings(api)))
