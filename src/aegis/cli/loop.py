"""The loop at the command line: status, incidents, approvals, why, the kill switch and the mode.

Human tables by default, `--json` everywhere. Each command is one or two API calls; nothing is decided here.
"""

from __future__ import annotations

import getpass
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from aegis.cli import remediation, tables
from aegis.cli.client import Api, forget_token, save_token, segment
from aegis.cli.tables import console
from aegis.cli.terminal import print_json, visible
from aegis.kit.clock import SystemClock
from aegis.kit.errors import Conflict, NotFound, Unauthenticated, Unavailable
from aegis.kit.settings import read_secret

Json = Annotated[bool, typer.Option("--json", help="Print the API's JSON instead of a table.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the audit log.")]
SEVERITY_STYLE = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
STATE_STYLE = {"resolved": "green", "mitigating": "yellow", "escalated": "bold red", "open": "red"}
PROCESS_STYLE = {"ok": "green", "degraded": "yellow", "down": "red"}
FIRST_ADMIN = "Make the first admin: aegis login --first-admin FILE, with the file that aegis up named when it started."


def register(app: typer.Typer) -> None:
    """Add the commands to the `aegis` application."""
    app.command(rich_help_panel="The loop")(login)
    app.command(rich_help_panel="The loop")(logout)
    app.command(rich_help_panel="The loop")(status)
    app.command(rich_help_panel="The loop")(incidents)
    app.command(rich_help_panel="The loop")(approvals)
    app.command(rich_help_panel="The loop")(approve)
    app.command(rich_help_panel="The loop")(reject)
    app.command(rich_help_panel="The loop")(why)
    app.command(rich_help_panel="The loop")(stop)
    app.command(rich_help_panel="The loop")(resume)
    app.command(rich_help_panel="The loop")(mode)


def _clock(text: str | None) -> str:
    return "–" if not text else datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S")


def _date(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain(text: object) -> Text:
    """Text from alerts, logs and models is shown as text, never as markup."""
    return Text(str(text))


def login(
    email: Annotated[str | None, typer.Option(help="Your address; asked for when not given.")] = None,
    url: Annotated[
        str | None, typer.Option(help="The API; default AEGIS_URL, the last one, or http://127.0.0.1:3000.")
    ] = None,
    first_admin: Annotated[
        Path | None,
        typer.Option(
            "--first-admin", metavar="FILE", help="Create the first admin with the one-time token in this file."
        ),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Log in and save token and address for the other commands (30 days, `aegis logout` forgets them)."""
    # From a file, because everybody on this machine can read what a command was called with.
    token = None if first_admin is None else read_secret(first_admin, what="first admin's token").decode()
    with Api(url, anonymous=True) as api:
        if token is None and api.get("/auth/state")["first_admin_needed"]:
            raise Unauthenticated("nobody_yet", "there is no account here yet.", hint=FIRST_ADMIN)
        who = email or typer.prompt("E-mail")
        password = sys.stdin.readline().rstrip("\n") if password_stdin else getpass.getpass("Password: ")
        if token is not None:
            api.post("/auth/bootstrap", {"token": token, "email": who, "password": password})
        answer = api.post("/auth/tokens", {"email": who, "password": password, "name": "aegis-cli"})
        path = save_token(answer["token"], api.url)
        console().print(f"Logged in at {api.url} as {who}; the token is in {path}.", markup=False)


def logout() -> None:
    """End the saved token and forget it."""
    said = "Logged out."
    try:
        with Api() as api:
            api.post("/auth/logout", {})
    except Unavailable:
        said = f"Forgot the token, but {api.url} does not answer: it stays valid there until it runs out."
    except Unauthenticated:
        said = "Nobody was logged in here."
    forget_token()
    console().print(said, markup=False)


def status(as_json: Json = False) -> None:
    """Mode, kill switch, processes, and what Aegis did and refused in the last 24 hours."""
    with Api() as api:
        state = api.get("/state")
    if as_json:
        print_json(state)
        return
    out, state = console(), visible(state)
    if state["stopped"]:
        out.print(Text(f"STOPPED by {state['changed_by']}: {state['reason']}", style="bold red"))
    out.print(Text(f"mode {state['mode']}  epoch {state['epoch']}  Aegis {state['version']}"))
    counts = state["counts"]
    labels = {
        "open_incidents": "open incidents",
        "awaiting_approval": "waiting for approval",
        "acted_24h": "acted",
        "helped_24h": "helped",
        "undone_24h": "undone",
        "refused_24h": "refused",
    }
    out.print("  ".join(f"{labels[name]} {counts[name]}" for name in labels if name in counts))
    rows = [
        (one["name"], Text(one["status"], style=PROCESS_STYLE[one["status"]]), _clock(one["seen_at"]), one["detail"])
        for one in state["processes"]
    ]
    tables.show(out, ("process", "status", "seen", "detail"), rows, text=("detail",))


def incidents(
    incident_id: Annotated[str | None, typer.Argument(help="Show this one with its timeline.")] = None,
    state: Annotated[str, typer.Option(help="open, closed or all.")] = "open",
    namespace: Annotated[str | None, typer.Option(help="Only this namespace.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last page ended.")] = None,
    as_json: Json = False,
) -> None:
    """List incidents, or show one from its first abnormal sample to its verdict."""
    with Api() as api:
        if incident_id is None:
            page = api.get("/incidents", state=state, namespace=namespace, limit=limit, cursor=cursor)
            print_json(page) if as_json else _incident_table(console(), visible(page), state)
            return
        found = api.get(f"/incidents/{segment(incident_id)}")
    print_json(found) if as_json else _one_incident(console(), visible(found))


def _incident_table(out: Console, page: dict[str, Any], state: str) -> None:
    if not page["items"]:
        out.print(f"No {'' if state == 'all' else state + ' '}incidents.")
        return
    rows = [
        (
            item["id"],
            _clock(item["opened_at"]),
            item["entity"].removeprefix("deployment/"),
            f"{item['class']} {item['probability']:.0%}",
            Text(item["severity"], style=SEVERITY_STYLE.get(item["severity"], "")),
            Text(item["state"], style=STATE_STYLE.get(item["state"], "")),
            item["remediation_state"] or "–",
        )
        for item in page["items"]
    ]
    tables.show(out, ("id", "opened", "workload", "class", "severity", "state", "remediation"), rows)
    if page["next_cursor"]:
        out.print(f"More: aegis incidents --state {state} --cursor {page['next_cursor']}", markup=False)


def _one_incident(out: Console, found: dict[str, Any]) -> None:
    out.print(Text(f"{found['id']}  {found['entity']}  {found['state']}", style="bold"))
    out.print(_plain(found["sentence"]))
    rows = []
    for event in found["timeline"]:
        what = Text(event["title"])
        if event["detail"]:
            what.append(f"\n{event['detail']}", style="dim")
        position = event["audit_position"]
        rows.append((_clock(event["at"]), event["stage"], what, "–" if position is None else str(position)))
    tables.show(out, ("at", "stage", "what", "audit"), rows, text=("what",))
    for item in found["remediations"]:
        _one_remediation(out, item)


def _one_remediation(out: Console, item: dict[str, Any]) -> None:
    for line in remediation.lines(item, SystemClock().now()):
        out.print(line)


def approvals(as_json: Json = False) -> None:
    """What waits for a person's decision, with its plan."""
    with Api() as api:
        found = api.get("/approvals")
    if as_json:
        print_json(found)
        return
    out = console()
    if not found["items"]:
        out.print("Nothing waits for approval.")
    for item in visible(found["items"]):
        _one_remediation(out, item)


def approve(
    remediation_id: Annotated[str, typer.Argument(help="From `aegis approvals`.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts that showed the plan.")] = False,
    as_json: Json = False,
) -> None:
    """Approve exactly the plan shown; a plan that changed since is refused."""
    _refuse_incident(remediation_id)
    with Api() as api:
        item = api.get(f"/remediations/{segment(remediation_id)}")
        body = {"plan_digest": _digest(item)}
        if remediation.waits(item):
            if not (as_json and yes):  # beside JSON, what is for a person goes where programs do not read
                _one_remediation(console(stderr=as_json), visible(item))
            if not yes:
                typer.confirm("Approve this plan?", abort=True, err=as_json)
        answer = api.post(f"/remediations/{segment(remediation_id)}/approve", body)  # whatever its state: it says why
    print_json(answer) if as_json else console().print("Approved.")


def reject(remediation_id: Annotated[str, typer.Argument()], reason: Reason, as_json: Json = False) -> None:
    """Reject a plan; Aegis does not propose it again for this incident."""
    _refuse_incident(remediation_id)
    with Api() as api:
        item = api.get(f"/remediations/{segment(remediation_id)}")
        body = {"plan_digest": _digest(item), "reason": reason}
        answer = api.post(f"/remediations/{segment(remediation_id)}/reject", body)
    print_json(answer) if as_json else console().print("Rejected.")


def _refuse_incident(given: str) -> None:
    if given.startswith("inc_"):
        hint = f"aegis incidents {given} shows its remediations, with their ids."
        raise NotFound("remediation_unknown", f"{given} is an incident, and remediations are decided about.", hint=hint)


def _digest(item: dict[str, Any]) -> str:
    """Of the plan that is decided about; raises `Conflict` while there is none."""
    if item["plan_digest"] is None:
        raise Conflict("not_waiting", f"it is {item['state'].replace('_', ' ')}: there is no plan to decide about.")
    return str(item["plan_digest"])


def why(
    subject: Annotated[
        str,
        typer.Argument(help="An incident's or remediation's id, pod/NAMESPACE/NAME or deployment/NAMESPACE/NAME."),
    ],
    as_json: Json = False,
) -> None:
    """Why Aegis did, or did not, act: one sentence, then the chain behind it."""
    with Api() as api:
        answer = api.get("/why", subject=subject)
    if as_json:
        print_json(answer)
        return
    out, answer = console(), visible(answer)
    out.print(Text(answer["sentence"], style="bold"))
    for link in answer["chain"]:
        out.print(_plain(f"  {_date(link['at'])}  {link['stage']:<10} {link['sentence']}"))
    for blocker in answer["blockers"]:
        out.print(Text(f"  blocked ({blocker['code']}): {blocker['sentence']}", style="yellow"))


def _safety(path: str, body: dict[str, Any], *, put: bool, as_json: bool) -> None:
    with Api() as api:
        state = api.put(path, body) if put else api.post(path, body)
    if as_json:
        print_json(state)
        return
    state = visible(state)
    switch = "STOPPED: nothing acts until `aegis resume`" if state["stopped"] else "running"
    if not state["changed"]:
        since = f"{state['changed_by']} at {_date(state['changed_at'])}: {state['reason']}"
        console().print(f"It was so already, and nothing changed. The last change was by {since}.", markup=False)
    console().print(f"{switch}; mode {state['mode']}, epoch {state['epoch']}.", markup=False)


def stop(reason: Reason, as_json: Json = False) -> None:
    """The kill switch: no new effect within two seconds. Aegis goes on watching."""
    _safety("/safety/stop", {"reason": reason}, put=False, as_json=as_json)


def resume(reason: Reason, as_json: Json = False) -> None:
    """Take the kill switch back."""
    _safety("/safety/resume", {"reason": reason}, put=False, as_json=as_json)


def mode(
    to: Annotated[
        str, typer.Argument(help="observe (never acts), approve (asks each time) or auto (asks where policy says).")
    ],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Change how far Aegis may go by itself."""
    _safety("/safety/mode", {"mode": to, "reason": reason}, put=True, as_json=as_json)
