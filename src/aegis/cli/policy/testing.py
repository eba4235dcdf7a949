"""`aegis policy test` and `check`: what policies promise in their tests, and what is odd about them, without a server.

`apply` runs both first. Nothing is changed and nobody is asked; exit code 1 says that something is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aegis.actions.model import ActionKind
from aegis.cli.policy.complaints import Complaint, Unreadable
from aegis.cli.policy.output import Json, console, count, listed, say
from aegis.cli.policy.sources import Sources, placed, read
from aegis.cli.terminal import print_json
from aegis.identity.permissions import PERMISSIONS, ROLES
from aegis.policy import suite
from aegis.policy.analysis import check as analysis
from aegis.policy.analysis.check import Known
from aegis.policy.analysis.findings import Finding, Severity
from aegis.policy.documents import Policy
from aegis.policy.suite import Result

Paths = Annotated[list[Path], typer.Argument(metavar="PATH", help="Directories or files of policies, in JSON or YAML.")]
MoreRoles = Annotated[
    list[str] | None, typer.Option("--role", help="A role that exists beside Aegis's own; repeat it for more.")
]
MoreActions = Annotated[
    list[str] | None, typer.Option("--action", help="An action that exists beside Aegis's own; repeat it for more.")
]
Prune = Annotated[
    bool,
    typer.Option(
        "--prune", help="Nothing but these policies; without it they join those in force, in place of their own ids."
    ),
]
SEVERITY_STYLE: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}


class FailOn(StrEnum):
    """From which severity on `check` says no."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


def run_tests(
    paths: Paths,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name every test, not only failing ones.")] = False,
    as_json: Json = False,
) -> None:
    """Run the tests inside the policies and in the files of tests beside them."""
    sources = read(paths)
    results = tested(sources, sources.policies)
    if as_json:
        passed = all(result.passed for result in results)
        print_json({"passed": passed, "results": results_document(sources, results)})
    else:
        out = console()
        show_results(out, sources, results, verbose=verbose)
        _untested(out, sources)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def check(
    paths: Paths,
    role: MoreRoles = None,
    action: MoreActions = None,
    fail_on: Annotated[FailOn, typer.Option(help="The least finding that gives exit code 1.")] = FailOn.WARNING,
    as_json: Json = False,
) -> None:
    """Find what can never apply, is shadowed or repeated, names nobody, or gives more than was probably meant."""
    sources = read(paths)
    refuse_reserved(sources)
    findings = judge(sources.policies, role, action)
    if as_json:
        print_json({"findings": findings_document(sources, findings), "policies": len(sources.policies)})
    else:
        show_findings(console(), sources, findings)
    worst = list(FailOn)[: list(FailOn).index(fail_on) + 1]
    if any(one.severity in worst for one in findings):
        raise typer.Exit(1)


def tested(sources: Sources, whole: Sequence[Policy]) -> list[Result]:
    """Every test; those that ask the whole set ask `whole`."""
    return suite.run(whole, [*suite.inside(sources.policies), *sources.cases])


def refuse_reserved(sources: Sources) -> None:
    """Raise `Unreadable` for ids that the API could not have in its paths."""
    from aegis.api.policy_document import RESERVED  # heavy, and only needed here

    named = [sources.files[name] for name in sorted(RESERVED & sources.files.keys())]
    if named:
        message, step = "its id is the name of a route of the API", "Choose another id."
        raise Unreadable([Complaint(path, message, step, pointer="/id") for path in named])


def judge(policies: Sequence[Policy], roles: Sequence[str] | None, actions: Sequence[str] | None) -> list[Finding]:
    """Every finding, with the roles, actions and duties that this Aegis has."""
    from aegis.api.policy_check import OBSERVED  # heavy, and only needed here
    from aegis.storage.remediations import SYSTEM

    known = Known(
        roles=[*ROLES, SYSTEM, *(roles or ())],
        actions=[*map(str, ActionKind), *PERMISSIONS, *(actions or ())],
        duties=OBSERVED,
    )
    return analysis.check(policies, known)


def show_results(out: Console, sources: Sources, results: Sequence[Result], *, verbose: bool = False) -> None:
    by_file: dict[Path, list[Result]] = defaultdict(list)
    for result in results:
        by_file[sources.path_of(result.case)].append(result)
    for path, here in sorted(by_file.items()):
        failed = [result for result in here if not result.passed]
        told = f"{path}  {len(here) - len(failed)} passed" + (f", {len(failed)} failed" if failed else "")
        say(out, f"{'✗' if failed else '✓'} {told}", "red" if failed else "green")
        for result in here if verbose else failed:
            _one(out, path, result)
    if not results:
        say(out, "There are no tests.", "yellow")
        return
    failures = sum(1 for result in results if not result.passed)
    said = f"{count(len(results), 'test')} in {count(len(by_file), 'file')}: "
    say(out, said + (f"{failures} failed." if failures else "all passed."), "bold")


def _one(out: Console, path: Path, result: Result) -> None:
    case = result.case
    if result.passed:
        say(out, f"✓ {case.test.name}", indent=2)
        return
    say(out, f"✗ {case.test.name}: expected {case.test.expect}, got {result.got}", "red", indent=2)
    say(out, f"{placed(path, case.pointer)} (at {case.pointer}): {result.reason}.", indent=4)
    step = (
        "Name a policy that is there." if result.got == "UNKNOWN_POLICY" else "Change the policy, or what it expects."
    )
    say(out, step, "dim", indent=4)


def _untested(out: Console, sources: Sources) -> None:
    with_tests = {case.policy for case in [*suite.inside(sources.policies), *sources.cases]}
    names = [policy.id for policy in sources.policies if policy.id not in with_tests]
    if names:
        say(out, f"{count(len(names), 'policy', 'policies')} without a test: {listed(names)}.", "yellow")


def show_findings(out: Console, sources: Sources, findings: Sequence[Finding]) -> None:
    for one in findings:
        say(out, f"{one.severity} {one.code}: {one.policy}", SEVERITY_STYLE[one.severity])
        say(out, f"{sources.place(one.policy, one.pointer)} (at {one.pointer}): {one.sentence}", indent=2)
        say(out, one.next_step, "dim", indent=2)
    numbers = {name: sum(one.severity == name for one in findings) for name in SEVERITY_STYLE}
    said = ", ".join(count(number, name) for name, number in numbers.items() if number) or "Nothing is odd"
    say(out, f"{said} in {count(len(sources.policies), 'policy', 'policies')}.", "bold")


def results_document(sources: Sources, results: Sequence[Result]) -> list[dict[str, Any]]:
    return [one.document() | {"file": str(sources.path_of(one.case))} for one in results]


def findings_document(sources: Sources, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [one.document() | {"file": str(sources.files[one.policy])} for one in findings]
