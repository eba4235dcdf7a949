"""The `aegis` command: knows every command's name and help line, and imports a command only when it is called.

`main` is the installed script. One handler turns the error family into one sentence and an exit code; anything else
is a bug and shows its traceback.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from aegis import __version__
from aegis.cli.terminal import visible
from aegis.kit.errors import AegisError

EXIT_CODES = {
    "invalid": 3,
    "unauthenticated": 4,
    "denied": 4,
    "not_found": 5,
    "conflict": 6,
    "expired": 6,
    "rate_limited": 7,
    "unavailable": 7,
}
HELP = ["-h", "--help"]
WRAPPED = re.compile(r"(?<!\n)\n(?!\n|\s|\d+\. |- )")  # a line end within a paragraph, not before an item of a list
EPILOG = (
    "Exit codes: 0 done · 1 failed, or the answer is no · 2 wrong usage · 3 bad input or setting · "
    "4 not logged in or not allowed · 5 not found · 6 conflict or expired · 7 something needed did not answer."
)


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command lives: its module has `register(app)` or, for a group, `app`."""

    name: str
    module: str
    help: str
    panel: str


START, LOOP, RECORD, TRY, PROCESSES = "Start", "The loop", "The record and keys", "Try it", "Single processes"
COMMANDS = (
    Lazy("up", "up", "Start everything on this machine and stay until Ctrl-C.", START),
    Lazy("demo", "demo", "The five-minute tour in this terminal, the same every time.", START),
    Lazy("login", "loop", "Log in and save a token for the other commands.", LOOP),
    Lazy("logout", "loop", "Forget the saved token on this machine.", LOOP),
    Lazy("status", "loop", "Mode, kill switch, processes, and what was done and refused.", LOOP),
    Lazy("incidents", "loop", "List incidents, or show one from first sample to verdict.", LOOP),
    Lazy("approvals", "loop", "What waits for a person's decision, with its plan.", LOOP),
    Lazy("approve", "loop", "Approve exactly the plan shown.", LOOP),
    Lazy("reject", "loop", "Reject a plan.", LOOP),
    Lazy("why", "loop", "Why Aegis did, or did not, act.", LOOP),
    Lazy("stop", "loop", "The kill switch: no new effect within two seconds.", LOOP),
    Lazy("resume", "loop", "Take the kill switch back.", LOOP),
    Lazy("mode", "loop", "Change how far Aegis may go by itself.", LOOP),
    Lazy("policy", "policy", "Who may do what: policies, their tests, and what a change of them would change.", LOOP),
    Lazy("users", "users", "People and their roles.", LOOP),
    Lazy("audit", "audit", "Read, export and check the record.", RECORD),
    Lazy("keys", "keys", "Make the keys that processes sign with, and check them.", RECORD),
    Lazy("sandbox", "sandbox", "The simulated cluster: run it, break it, look at it.", TRY),
    Lazy("detect", "detect", "Find what is unusual in your own table.", TRY),
    Lazy("api", "processes", "The API and the web page.", PROCESSES),
    Lazy("controller", "processes", "The loop.", PROCESSES),
    Lazy("engine", "processes", "Detection, diagnosis and recommendation.", PROCESSES),
    Lazy("executor", "processes", "The only process with cluster rights.", PROCESSES),
)


def load(lazy: Lazy) -> Any:
    """The real command, its module imported now."""
    module = importlib.import_module(f"aegis.cli.{lazy.module}")
    if hasattr(module, "register"):
        holder = typer.Typer()
        module.register(holder)
        return readable(typer.main.get_group(holder).commands[lazy.name])
    return readable(typer.main.get_group(module.app))


def readable(command: Any) -> Any:
    """The command, its help without what typer adds: types of flags, which take no value, and our own line ends."""
    shown = typer.Context(command, help_option_names=HELP)
    for option in [*command.params, command.get_help_option(shown)]:
        if getattr(option, "is_flag", False):
            option.metavar = ""
    command.help = WRAPPED.sub(" ", inspect.cleandoc(command.help or ""))
    for one in getattr(command, "commands", {}).values():
        readable(one)
    return command


class LazyGroup(TyperGroup):
    """Lists commands from the table above; resolves the one that is called to the real thing."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self._lazy = {lazy.name: lazy for lazy in COMMANDS}
        for lazy in COMMANDS:
            self.add_command(TyperCommand(lazy.name, help=lazy.help, rich_help_panel=lazy.panel))
        readable(self)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        lazy = self._lazy.get(name or "")
        return name, command if lazy is None else load(lazy), rest


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EPILOG,
    context_settings={"help_option_names": HELP},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aegis {__version__}")
        raise typer.Exit


@app.callback()
def aegis(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """A self-healing control plane for Kubernetes.

    Nothing happens that policy did not allow. Nothing stays that did not help. Anyone can check the record.
    """


def main() -> None:
    """Run the command line; an expected failure is one sentence on standard error and a documented exit code."""
    try:
        app(prog_name="aegis")
    except AegisError as error:
        sys.exit(fail(error))


def fail(error: AegisError) -> int:
    """Say what went wrong and return the exit code."""
    sys.stderr.write(f"aegis: {visible(sentence(error))}\n")
    return EXIT_CODES.get(error.kind, 1)


def sentence(error: AegisError) -> str:
    where = f" (at {error.field})" if error.field else ""
    message = error.message.rstrip(".")
    return f"{message}{where}." + (f" {error.hint}" if error.hint else "")
