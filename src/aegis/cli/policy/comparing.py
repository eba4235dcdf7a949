"""`aegis policy diff`: two sets of policies compared by what they decide, and `schema`: what a document may hold.

A set is a directory or file; with one of them, what is in force is compared with what `apply` would make of it.
Nothing is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aegis.cli.policy import differing
from aegis.cli.policy.moments import now
from aegis.cli.policy.output import Json, console
from aegis.cli.policy.served import afterwards, chosen
from aegis.cli.policy.testing import Prune
from aegis.cli.terminal import print_json
from aegis.policy.schema import json_schema


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A directory or file of policies: how it was.")],
    b: Annotated[
        Path | None, typer.Argument(metavar="B", help="How it would be. Without B: from what is in force to A.")
    ] = None,
    prune: Prune = False,
    limit: Annotated[int, typer.Option(min=1, help="How many differences are shown.")] = 10,
    as_json: Json = False,
) -> None:
    """Which requests come out otherwise, what opens first. Exit code 1 when some do."""
    if b is not None:
        old, new = chosen([a]), chosen([b])
    else:
        wanted, old = chosen([a]), chosen(None)
        new = afterwards(old, wanted, prune=prune)
    found = differing.between(old, new, now())
    if as_json:
        print_json(found.document())
    else:
        out = console()
        differing.show_names(out, found)
        differing.show_decisions(out, found, most=limit)
    if found.differences:
        raise typer.Exit(1)


def schema() -> None:
    """The JSON Schema of a policy document, for an editor or another checker."""
    print_json(json_schema())
