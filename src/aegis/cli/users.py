"""`aegis users`: the people of this Aegis, for admins: list, add, give roles, lock out and let in again.

Passwords are asked for or read from standard input, never taken as an argument: everybody on a machine reads what a
command was called with. What a role may do is said by policies: `aegis policy show api-operator`.
"""

from __future__ import annotations

import getpass
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aegis.cli.client import Api
from aegis.cli.terminal import print_json, visible

app = typer.Typer(no_args_is_help=True, help="People and their roles.")
Email = Annotated[str, typer.Argument(help="Their address.")]
Json = Annotated[bool, typer.Option("--json", help="Print the API's JSON instead of a table.")]


@app.command("list")
def list_users(as_json: Json = False) -> None:
    """Everybody, oldest account first."""
    with Api() as api:
        found = api.get("/users")
    if as_json:
        print_json(found)
        return
    table = Table("address", "roles", "since", "", box=None)
    for one in visible(found["items"]):
        locked = "locked out" if one["disabled"] else ""
        table.add_row(*map(Text, (one["email"], ", ".join(one["roles"]) or "none", one["created_at"][:10], locked)))
    Console(highlight=False).print(table)


@app.command()
def add(
    email: Email,
    role: Annotated[
        list[str], typer.Option(help="A role; give it once for each: viewer, auditor, operator, approver, admin.")
    ],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read their first password from standard input.")
    ] = False,
) -> None:
    """A new person with a first password, which you tell them outside of Aegis.

    Example: aegis users add bea@example.org --role viewer --role approver
    """
    password = sys.stdin.readline().rstrip("\n") if password_stdin else getpass.getpass("Their first password: ")
    with Api() as api:
        made = api.post("/users", {"email": email, "password": password, "roles": role})
    _say(made)


@app.command()
def roles(
    email: Email,
    role: Annotated[list[str] | None, typer.Option(help="A role to have; give it once for each.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Take every role away.")] = False,
) -> None:
    """Give somebody exactly these roles. Their sessions end; what was decided before is decided again.

    Example: aegis users roles bea@example.org --role operator
    """
    if bool(role) == none:
        raise typer.BadParameter("give at least one --role, or --none")
    with Api() as api:
        _say(api.put(f"/users/{quote(email, safe='@')}/roles", {"roles": role or []}))


@app.command()
def lock(email: Email) -> None:
    """Lock somebody out at once; their sessions and tokens end."""
    with Api() as api:
        _say(api.put(f"/users/{quote(email, safe='@')}/disabled", {"disabled": True}))


@app.command()
def unlock(email: Email) -> None:
    """Let somebody log in again."""
    with Api() as api:
        _say(api.put(f"/users/{quote(email, safe='@')}/disabled", {"disabled": False}))


def _say(person: dict[str, Any]) -> None:
    known = visible(person)
    state = "locked out" if known["disabled"] else ", ".join(known["roles"]) or "no role"
    typer.echo(f"{known['email']}: {state}")
