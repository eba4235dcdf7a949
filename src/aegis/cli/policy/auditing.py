"""`aegis policy audit`: every evaluation that is on record, by who asked, about what, and what came out.

Read only. An export has one decision a line with its facts, which is what `backtest --from` decides again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from aegis.cli.client import Api
from aegis.cli.policy.moments import ago
from aegis.cli.policy.output import EFFECT_STYLE, Json, console, count, say
from aegis.cli.terminal import print_json, visible
from aegis.kit.clock import rfc3339
from aegis.kit.errors import Invalid

PAGE = 200
Filters = dict[str, Any]


def audit(
    principal: Annotated[str | None, typer.Option(help="Who the question was about.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action.")] = None,
    resource: Annotated[str | None, typer.Option(help="Only resources that begin with this.")] = None,
    effect: Annotated[str | None, typer.Option(help="allow or deny.")] = None,
    code: Annotated[str | None, typer.Option(help="Such as default_deny or deny_on_error.")] = None,
    policy: Annotated[str | None, typer.Option(help="Only what this policy decided.")] = None,
    bundle: Annotated[str | None, typer.Option(help="Only decisions under this set.")] = None,
    source: Annotated[str | None, typer.Option(help="Who asked: api or controller.")] = None,
    since: Annotated[str | None, typer.Option(help="From when on: 30d (ago), a date, or a time.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last page ended.")] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all of them to FILE, one a line, newest first.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What policy was asked and what it said, newest first."""
    filters: Filters = {
        "principal": principal,
        "action": action,
        "resource": resource,
        "effect": effect,
        "code": code,
        "policy": policy,
        "bundle": bundle,
        "source": source,
        "since": _written(since),
        "until": _written(until),
    }
    with Api() as api:
        if export is not None:
            _export(api, filters, export)
            return
        page = api.get("/policies/audit", limit=limit, cursor=cursor, **filters)
    if as_json:
        print_json(page)
    else:
        _table(console(), page)


def _written(text: str | None) -> str | None:
    at = ago(text)
    return None if at is None else rfc3339(at)


def _pages(api: Api, filters: Filters) -> Iterator[list[dict[str, Any]]]:
    cursor = None
    while True:
        page = api.get("/policies/audit", limit=PAGE, cursor=cursor, **filters)
        yield page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _export(api: Api, filters: Filters, path: Path) -> None:
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.completed:,.0f} decisions"), console=Console(stderr=True), transient=True
    )
    written = 0
    try:
        with path.open("w", encoding="utf-8") as file, bar:
            task = bar.add_task("", total=None)
            for items in _pages(api, filters):
                file.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
                written += len(items)
                bar.update(task, completed=written)
    except OSError as error:
        hint = "Name a file that can be written."
        raise Invalid("output_unwritable", f"{path} cannot be written ({error.strerror})", hint=hint) from None
    say(console(), f"{count(written, 'decision')} written to {path}.")


def _table(out: Console, page: dict[str, Any]) -> None:
    if not page["items"]:
        say(out, "Nothing was asked that fits.")
        return
    table = Table(Column("id", no_wrap=True), "at", "effect", "code", "who", "what", "by", box=None)
    for item in visible(page["items"]):
        cells = (
            str(item["id"]),
            item["at"][:19].replace("T", " "),
            Text(item["effect"], style=EFFECT_STYLE.get(item["effect"], "")),
            item["code"],
            f"{item['principal']} ({', '.join(item['roles'])})",
            f"{item['action']} on {item['resource']}",
            ", ".join(item["policies"]) or "–",
        )
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    out.print(table)
    if page["next_cursor"]:
        say(out, f"More: the same with --cursor {page['next_cursor']}", "dim")
