"""`aegis policy backtest`: the past decided again with other policies, here from an exported file or by the server.

Flips are told with what opens first. Exit code 1 when something opens, or when nothing could be compared, unless that
was allowed; so a pipeline stops before a change that would have let through what was refused.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from aegis.cli.client import Api, segment
from aegis.cli.policy.differing import OPENING, STYLE, WORDS
from aegis.cli.policy.moments import ago
from aegis.cli.policy.output import Json, console, count, listed, say
from aegis.cli.policy.recorded import Span, records
from aegis.cli.policy.sources import read
from aegis.cli.policy.testing import Paths, Prune
from aegis.cli.terminal import print_json
from aegis.kit.clock import rfc3339
from aegis.kit.errors import Unavailable
from aegis.policy.backtest import backtest as decide_again
from aegis.policy.documents import Policy
from aegis.policy.flips import KINDS

Report = Mapping[str, Any]
MOST_PROCESSES = 4
POLL_SECONDS = 0.5


def backtest(
    paths: Paths,
    since: Annotated[str, typer.Option(help="From when on: 30d (ago), a date, or a time.")] = "30d",
    until: Annotated[str | None, typer.Option(help="Until when; now when not given.")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Decide on an exported file (`audit --export`), without a server."),
    ] = None,
    prune: Prune = False,
    allow_loosening: Annotated[
        bool, typer.Option("--allow-loosening", help="Exit with 0 also when something opens.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many flips are shown.")] = 10,
    as_json: Json = False,
) -> None:
    """Decide every recorded decision again with these policies, and list what comes out otherwise."""
    policies = list(read(paths).policies)
    span = Span(ago(since), ago(until))
    report = _by_server(policies, span, prune=prune) if from_file is None else _from_file(policies, from_file, span)
    if as_json:
        print_json(report)
    else:
        show(console(), report, since, limit)
    if verdict(report, allow_loosening=allow_loosening):
        raise typer.Exit(1)


def _bar(unit: str) -> Progress:
    """On standard error, where it does not get into the answer; gone when it is done."""
    return Progress(
        TextColumn("Deciding again"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _from_file(policies: Sequence[Policy], path: Path, span: Span) -> Report:
    with _bar("{task.fields[decided]:,} decisions") as bar:
        size = path.stat().st_size if path.is_file() else 0
        task = bar.add_task("", total=size or None, decided=0)
        found = decide_again(
            policies,
            records(path, span, lambda length: bar.advance(task, length)),
            progress=lambda done: bar.update(task, decided=done),
            processes=min(os.cpu_count() or 1, MOST_PROCESSES),
        )
    return found.document()


def _by_server(policies: Sequence[Policy], span: Span, *, prune: bool) -> Report:
    """The server's job, looked at until it ends; given up there when it is given up here."""
    body: dict[str, Any] = {"documents": [policy.document() for policy in policies], "whole": prune}
    body |= {name: rfc3339(at) for name, at in (("since", span.since), ("until", span.until)) if at is not None}
    with Api() as api:
        job = api.post("/policies/backtests", body)
        path = f"/policies/backtests/{segment(job['id'])}"
        try:
            job = _ended(api, path, job)
        except KeyboardInterrupt:
            api.delete(path)
            raise
    if job["state"] != "done":
        raise Unavailable(
            f"backtest_{job['state']}", f"the backtest ended early: {job['error']}", hint="Start it again."
        )
    report: Report = job["result"]
    return report


def _ended(api: Api, path: str, job: dict[str, Any]) -> dict[str, Any]:
    with _bar("{task.completed:,.0f} of {task.total:,.0f} decisions") as bar:
        task = bar.add_task("", total=job["total"])
        while job["state"] == "running":
            time.sleep(POLL_SECONDS)
            job = api.get(path)
            bar.update(task, completed=job["done"], total=job["total"])
    return job


def verdict(report: Report, *, allow_loosening: bool) -> bool:
    """Whether the answer is no."""
    if report["interrupted"]:
        return True
    return not allow_loosening and (opened(report) > 0 or compared(report) == 0)


def opened(report: Report) -> int:
    return sum(int(report["flips"][kind]) for kind in OPENING)


def compared(report: Report) -> int:
    return int(report["total"]) - sum(map(int, report["not_replayed"].values()))


def show(out: Console, report: Report, since: str, limit: int) -> None:
    flips = report["listed"]
    for flip in flips[:limit]:
        kind = flip["kind"]
        say(
            out,
            f"{WORDS[kind]}  {flip['at'][:19]}  {flip['principal']}: {flip['action']} on {flip['resource']}",
            STYLE[kind],
        )
        say(
            out,
            f"then {_side(flip['before'])}, now {_side(flip['after'])}: {flip['sentence']} (decision {flip['id']})",
            indent=2,
        )
    if len(flips) > limit:
        say(out, f"… and {count(len(flips) - limit, 'more flip')} (all that were kept with --json).", "dim")
    for kind in KINDS:
        if report["flips"][kind]:
            say(out, f"{WORDS[kind]}: {report['flips'][kind]:,}{_behind(report, kind)}", STYLE[kind])
    _not_replayed(out, report)
    _summary(out, report, since)


def _side(side: Mapping[str, Any]) -> str:
    names = listed(side["policies"], 3)
    return f"{side['effect']} by {names}" if names else str(side["effect"])


def _behind(report: Report, kind: str) -> str:
    """The policies that decide most of the flips of a kind."""
    groups = [one for one in report["by_policies"] if one["kind"] == kind and one["policies"]]
    told = [f"{listed(one['policies'], 3)} ({one['count']:,})" for one in groups[:5]]
    return f", by {', '.join(told)}" if told else ""


def _not_replayed(out: Console, report: Report) -> None:
    for code, number in report["not_replayed"].items():
        example = next((one for one in report["listed_not_replayed"] if one["code"] == code), None)
        why = f": {example['reason']} (decision {example['id']})" if example else ""
        say(out, f"cannot replay, {code}: {number:,}{why}", "yellow")


def _summary(out: Console, report: Report, since: str) -> None:
    total = count(report["total"], "decision")
    if report["interrupted"]:
        say(out, f"Interrupted after {total}; the rest was not looked at.", "bold yellow")
        return
    if compared(report) == 0:
        say(out, f"Nothing was compared: {total} since {since}, none of which could be decided again.", "bold yellow")
        say(out, "Go further back with --since, or let it pass with --allow-loosening.", "dim")
        return
    flips = sum(report["flips"].values())
    said = f"{total} since {since} decided again in {report['seconds']:,.1f} s: "
    said += f"{report['unchanged']:,} as before, {count(flips, 'flip')} ({opened(report):,} opening), "
    said += f"{sum(report['not_replayed'].values()):,} cannot be replayed."
    say(out, said, "bold red" if opened(report) else "bold")
