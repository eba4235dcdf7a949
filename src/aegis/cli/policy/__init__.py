"""`aegis policy`: read, test, compare, explain and apply policies, each command in a module of what it does.

Local commands need no server: they read directories or files. The others use the saved login. Nothing decides here
but the engine of `aegis.policy`.
"""

from __future__ import annotations

import typer

from aegis.cli.policy.applying import apply
from aegis.cli.policy.auditing import audit
from aegis.cli.policy.comparing import diff, schema
from aegis.cli.policy.complaints import PolicyGroup
from aegis.cli.policy.reading import list_policies, show
from aegis.cli.policy.replaying import backtest
from aegis.cli.policy.testing import check, run_tests
from aegis.cli.policy.why import why, why_not

LOCAL, SERVER, EITHER = "On files, without a server", "In a running Aegis", "On files, or on what is in force"
REQUEST = '{"principal": {"id": "ann", "roles": ["operator"]}, "action": "restart_pod", "resource": "pod/shop/x"}'
EPILOG = (
    "Exit codes: 0 fine · 1 findings, failed tests, differing decisions, or the answer is no · 2 wrong usage, or input "
    "that cannot be read · 4 not logged in or not allowed · 5 not found · 6 conflict · 7 something did not answer."
)

app = typer.Typer(
    cls=PolicyGroup,
    no_args_is_help=True,
    help="Who may do what: read, test, compare, explain and apply policies.",
    epilog=EPILOG,
)


def example(*lines: str) -> str:
    """The end of a command's help."""
    return "\n\n".join(["Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])


app.command(
    "list", rich_help_panel=SERVER, epilog=example("aegis policy list", "aegis policy list --save-to policies/")
)(list_policies)
app.command(
    rich_help_panel=SERVER,
    epilog=example("aegis policy show heal-production", "aegis policy show heal-production --version 3 --yaml"),
)(show)
app.command(
    rich_help_panel=SERVER,
    epilog=example(
        "aegis policy apply policies/ --dry-run",
        "aegis policy apply policies/ -m 'freeze for the holidays'",
        "aegis policy apply policies/ --prune --yes   (in a pipeline: the directory is all there is in force)",
    ),
)(apply)
app.command("test", rich_help_panel=LOCAL, epilog=example("aegis policy test policies/"))(run_tests)
app.command(
    rich_help_panel=LOCAL,
    epilog=example("aegis policy check policies/", "aegis policy check policies/ --role sre --fail-on error"),
)(check)
app.command(
    rich_help_panel=EITHER,
    epilog=example(
        "aegis policy diff policies/ new-policies/", "aegis policy diff policies/   (with what is in force)"
    ),
)(diff)
app.command(
    rich_help_panel=EITHER,
    epilog=example(
        "aegis policy backtest policies/ --since 30d", "aegis policy backtest policies/ --from decisions.ndjson"
    ),
)(backtest)
app.command(
    rich_help_panel=EITHER,
    epilog=example(
        f"echo '{REQUEST}' | aegis policy why -",
        "aegis policy why request.json --policies policies/",
    ),
)(why)
app.command(
    "why-not",
    rich_help_panel=EITHER,
    epilog=example("aegis policy why-not request.json --policies policies/ --at 2026-03-03T12:00:00+01:00"),
)(why_not)
app.command(rich_help_panel=LOCAL, epilog=example("aegis policy schema > policy.schema.json"))(schema)
app.command(
    rich_help_panel=SERVER,
    epilog=example(
        "aegis policy audit --effect deny --since 1d", "aegis policy audit --since 30d --export decisions.ndjson"
    ),
)(audit)
