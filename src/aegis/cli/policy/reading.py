"""`aegis policy list` and `show`: what is in force in a running Aegis, who wrote it and why, and how it was before.

Read only. Documents can be written out as files, which is how a directory for `apply` begins.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from aegis.cli.client import Api, segment
from aegis.cli.policy.output import EFFECT_STYLE, Json, console, count, say
from aegis.cli.policy.served import parsed, standings
from aegis.cli.policy.wording import as_yaml, lines
from aegis.cli.terminal import print_json, visible
from aegis.kit.errors import Invalid

VERSIONS = 20


def list_policies(
    save_to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write each document in force to DIR/ID.yaml.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Every policy with its state, its newest change and what it is for."""
    with Api() as api:
        items = list(standings(api))
        current = api.get("/policies/set")
    active = [one for one in items if one["state"] == "active"]
    if save_to is not None:
        _save(active, save_to)
    if as_json:
        print_json({"items": items, "set": current})
        return
    out = console()
    table = Table(Column("id", no_wrap=True), "effect", "state", "version", "changed", "by", "description", box=None)
    for item in visible(items):
        table.add_row(*_row(item))
    out.print(table)
    say(
        out,
        f"{len(active)} of {count(len(items), 'policy', 'policies')} in force, set {current['digest'][:12]}.",
        "bold",
    )
    if save_to is not None:
        say(out, f"{count(len(active), 'document')} written to {save_to}.")


def _row(item: dict[str, Any]) -> list[Text]:
    document = item["document"]
    shadow = " (shadow)" if document.get("mode") == "shadow" else ""
    version = str(item["version"])
    if item["newest_version"] != item["version"]:
        version += f" of {item['newest_version']}"
    return [
        Text(item["id"]),
        Text(document["effect"] + shadow, style=EFFECT_STYLE.get(document["effect"], "")),
        Text(item["state"], style="" if item["state"] == "active" else "dim"),
        Text(version),
        Text(item["updated_at"][:16].replace("T", " ")),
        Text(item["author"]),
        Text(document.get("description", "")),
    ]


def _save(items: list[dict[str, Any]], directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for item in items:
            policy = parsed(item)  # its id is a file name only when it is an id
            (directory / f"{policy.id}.yaml").write_text(as_yaml(policy), encoding="utf-8")
    except OSError as error:
        hint = "Name a directory that can be written to."
        raise Invalid("output_unwritable", f"{directory} cannot be written to ({error.strerror})", hint=hint) from None


def show(
    policy_id: Annotated[str, typer.Argument(metavar="ID", help="From `aegis policy list`.")],
    version: Annotated[int | None, typer.Option(min=1, help="An older version instead of the one in force.")] = None,
    as_document: Annotated[bool, typer.Option("--yaml", help="Only the document, as a file for `apply`.")] = False,
    as_json: Json = False,
) -> None:
    """One policy in words, with its history; or its document as YAML."""
    path = f"/policies/{segment(policy_id)}"
    with Api() as api:
        found = api.get(path if version is None else f"{path}/versions/{version}")
        history = {} if as_document else api.get(f"{path}/versions", limit=VERSIONS)
    if as_json:
        print_json(found | {"versions": history["items"]})
    elif as_document:
        sys.stdout.write(as_yaml(parsed(found)))
    else:
        _in_words(console(), found, history)


def _in_words(out: Console, found: dict[str, Any], history: dict[str, Any]) -> None:
    policy = parsed(found)
    state = found.get("state") or ("active" if found["active"] else "not in force")
    say(out, f"{policy.id}  version {found['version']}  {state}", "bold")
    if policy.description:
        say(out, policy.description)
    for number, line in enumerate(lines(policy)):
        say(out, line, EFFECT_STYLE[policy.effect] if number == 0 else "", indent=2)
    more = {"owner": policy.owner, "labels": ", ".join(f"{name}={text}" for name, text in policy.labels.items())}
    for what, text in more.items():
        if text:
            say(out, f"{what}: {text}", "dim", indent=2)
    say(out, count(len(policy.tests), "test"), "dim", indent=2)
    table = Table("version", "at", "by", "why", box=None)
    for one in visible(history["items"]):
        style = "bold" if one["active"] else ""
        cells = (str(one["version"]), one["created_at"][:16].replace("T", " "), one["author"], one["comment"] or "–")
        table.add_row(*(Text(cell, style=style) for cell in cells))
    out.print(table)
    if history["next_before"] is not None:
        say(out, "Older versions: --version N.", "dim")
