"""`aegis policy apply`: a directory of policies brought into force as one, after its plan was seen.

1. Tests and check come first, asked of the set as it would be in force; a failing test or an error ends it there.
2. What is confirmed is what is applied: when somebody else changed policies meanwhile, nothing happens.
3. Applying the same directory again changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aegis.cli.client import Api
from aegis.cli.policy import differing
from aegis.cli.policy.complaints import Complaint, Unreadable
from aegis.cli.policy.moments import now
from aegis.cli.policy.output import Json, console, count, listed, say
from aegis.cli.policy.served import afterwards, in_force, parsed, standings
from aegis.cli.policy.sources import Sources, read
from aegis.cli.policy.testing import (
    MoreActions,
    MoreRoles,
    Paths,
    Prune,
    findings_document,
    judge,
    refuse_reserved,
    results_document,
    show_findings,
    show_results,
    tested,
)
from aegis.cli.policy.wording import changed_lines, lines
from aegis.cli.terminal import print_json
from aegis.kit.errors import Invalid
from aegis.policy.analysis.diff import Diff
from aegis.policy.analysis.findings import Finding
from aegis.policy.documents import Policy
from aegis.policy.suite import Result

SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "enable": ("+", "green"), "disable": ("-", "red")}
SHOWN = 10  # differences between decisions
_PLACE = re.compile(r"/documents/([0-9]+)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the server would change, and what that changes in decisions; `served` are its policies by id."""

    sources: Sources
    served: Mapping[str, dict[str, Any]]
    answer: Mapping[str, Any]
    decisions: Diff
    prune: bool

    @property
    def changes(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.answer["changes"]
        return found

    @property
    def left_alone(self) -> list[str]:
        """In force and not in the directory: what a pruned set would lose."""
        names = {policy.id for policy in self.sources.policies}
        return [name for name, item in self.served.items() if item["state"] == "active" and name not in names]


def apply(
    paths: Paths,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    prune: Prune = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for pipelines.")] = False,
    comment: Annotated[str, typer.Option("--comment", "-m", help="Why; kept with each version.")] = "",
    role: MoreRoles = None,
    action: MoreActions = None,
    as_json: Json = False,
) -> None:
    """Bring a directory of policies into force as one, after its tests, the check and its plan."""
    if as_json and not (yes or dry_run):
        raise typer.BadParameter("--json asks nothing, so it needs --yes or --dry-run")
    sources, out = read(paths), console()
    refuse_reserved(sources)
    with Api() as api:
        seen = api.get("/policies/set")["digest"]
        served = {item["id"]: item for item in standings(api)}
        before = in_force(list(served.values()))
        after = afterwards(before, sources.policies, prune=prune)
        faults = _faults(sources, after, role, action)
        if faults:
            print_json(faults.document(sources)) if as_json else faults.show(out, sources)
            raise typer.Exit(1)
        answer = _put(api, sources, {"dry_run": True, "prune": prune, "expected_digest": seen})
        plan = Plan(sources, served, answer, differing.between(before, after, now()), prune)
        if not as_json:
            if faults.findings:
                show_findings(out, sources, faults.findings)
            _show(out, plan)
        if plan.changes and not dry_run:
            if not yes:
                typer.confirm("Apply this plan?", abort=True)
            body = {"prune": prune, "comment": comment or _comment(paths), "expected_digest": seen}
            answer = _put(api, sources, body)
    if as_json:
        more = {"left_alone": plan.left_alone, "decisions": plan.decisions.document()}
        print_json(dict(answer) | more | {"findings": findings_document(sources, faults.findings)})
    elif answer["applied"]:
        say(out, f"Applied: {count(len(answer['changes']), 'change')}; set {answer['digest'][:12]}.", "bold green")


@dataclass(frozen=True, slots=True)
class Faults:
    """What keeps a directory from being applied: tests that fail, and findings of which one is an error at least."""

    failed: Sequence[Result]
    findings: Sequence[Finding]

    def __bool__(self) -> bool:
        return bool(self.failed) or any(one.severity == "error" for one in self.findings)

    def document(self, sources: Sources) -> dict[str, Any]:
        tests, findings = results_document(sources, self.failed), findings_document(sources, self.findings)
        return {"applied": False, "failed_tests": tests, "findings": findings}

    def show(self, out: Console, sources: Sources) -> None:
        if self.failed:
            show_results(out, sources, self.failed)
        if self.findings:
            show_findings(out, sources, self.findings)
        say(out, "Nothing was changed.", "bold red")


def _faults(sources: Sources, after: Sequence[Policy], roles: list[str] | None, actions: list[str] | None) -> Faults:
    """Asked of the set as it would be; what is odd about other policies is not this directory's."""
    failed = [result for result in tested(sources, after) if not result.passed]
    found = [one for one in judge(after, roles, actions) if one.policy in sources.files and one.severity != "note"]
    return Faults(failed, found)


def _put(api: Api, sources: Sources, options: dict[str, Any]) -> dict[str, Any]:
    """The set as the server takes it; what it refuses about a document is told with the document's file."""
    documents = [policy.document() for policy in sources.policies]
    try:
        answer: dict[str, Any] = api.put("/policies/set", {"documents": documents} | options)
    except Invalid as error:
        found = _PLACE.fullmatch(error.field or "")
        if found is None:
            raise
        path = sources.files[sources.policies[int(found[1])].id]
        step = error.hint or "Nothing was changed."
        raise Unreadable([Complaint(path, error.message, step, pointer=found[2])]) from None
    return answer


def _comment(paths: Sequence[Path]) -> str:
    return f"applied from {', '.join(path.resolve().name for path in paths)}"[:500]


def _show(out: Console, plan: Plan) -> None:
    files = count(len(plan.sources.policies), "policy", "policies")
    if not plan.changes:
        say(out, f"Nothing to change: {files} in force as written.", "bold green")
    for change in plan.changes:
        _change(out, plan, change)
    if plan.left_alone and not plan.prune:
        names = listed(plan.left_alone)
        say(out, f"In force, and not in these files: {names}. --prune takes them out of force.", "dim")
    if plan.changes:
        differing.show_decisions(out, plan.decisions, most=SHOWN)
        tally = ", ".join(_tally(plan.changes))
        say(out, f"Plan: {tally}; {files} looked at.", "bold")


def _change(out: Console, plan: Plan, change: Mapping[str, Any]) -> None:
    name, what = change["id"], change["what"]
    sign, style = SIGNS[what]
    written = next((policy for policy in plan.sources.policies if policy.id == name), None)
    where = f"  ({plan.sources.files[name]})" if written is not None else ""
    say(out, f"{sign} {what} {name}{where}", f"bold {style}")
    old = plan.served.get(name)
    if written is None:
        return
    if old is None:
        for line in lines(written):
            say(out, line, indent=4)
        return
    for line in changed_lines(parsed(old), written):
        say(out, line, {"+": "green", "-": "red"}.get(line[:1], "dim"), indent=4)


def _tally(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    numbers = {what: sum(one["what"] == what for one in changes) for what in SIGNS}
    return [f"{number} to {what}" for what, number in numbers.items() if number]
