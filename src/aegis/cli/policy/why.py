"""`aegis policy why` and `why-not`: what the policies say to one request, what decided, and what would flip it.

Decided here, with the policies of a directory or those in force, so that nothing is recorded and any time or change
can be tried. The answer is the engine's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from aegis.cli.policy.moments import moment
from aegis.cli.policy.output import EFFECT_STYLE, Json, asked, console, say
from aegis.cli.policy.requests import read_request
from aegis.cli.policy.served import chosen
from aegis.cli.policy.wording import changed_lines
from aegis.cli.terminal import print_json
from aegis.policy.analysis.why_not import Proposal
from aegis.policy.analysis.why_not import why_not as propose
from aegis.policy.compile import compile_bundle
from aegis.policy.decision import Decision
from aegis.policy.documents import validate
from aegis.policy.evaluate import Bundle

RequestFile = Annotated[
    Path, typer.Argument(metavar="REQUEST", help="A file with one request, in JSON or YAML; - for standard input.")
]
Policies = Annotated[
    list[Path] | None,
    typer.Option("--policies", "-p", help="A directory or file of policies; those in force when not given."),
]
At = Annotated[str | None, typer.Option("--at", help="The time to decide at; the request's own, or now.")]


def why(request: RequestFile, policies: Policies = None, at: At = None, as_json: Json = False) -> None:
    """Why a request is allowed or denied: the sentence, each policy that mattered and the condition that decided."""
    question = read_request(request, moment(at) if at else None)
    decision = compile_bundle(chosen(policies)).evaluate(question)
    if as_json:
        print_json({"request": question.facts(), "decision": decision.document()})
        return
    out = console()
    say(out, asked(question.facts()), "dim")
    _decision(out, decision)


def why_not(
    request: RequestFile,
    policies: Policies = None,
    at: At = None,
    most: Annotated[int, typer.Option(min=1, max=100, help="How many proposals at most.")] = 10,
    as_json: Json = False,
) -> None:
    """The smallest changes of the facts, or of one policy, after which the answer would be the other one."""
    question = read_request(request, moment(at) if at else None)
    bundle = compile_bundle(chosen(policies))
    answer = propose(bundle, question, most=most)
    if as_json:
        print_json({"request": question.facts()} | answer.document())
        return
    out = console()
    say(out, asked(question.facts()), "dim")
    say(out, f"{answer.effect.upper()}: {answer.sentence}.", f"bold {EFFECT_STYLE[answer.effect]}")
    for proposal in answer.proposals:
        _proposal(out, bundle, proposal)
    if not answer.proposals:
        say(out, "No change of up to three facts, and no edit of one policy, would flip it.")
    elif not answer.complete:
        say(out, "There may be more, or smaller ones; the search was bounded.", "dim")


def _decision(out: Console, decision: Decision) -> None:
    say(
        out,
        f"{decision.effect.upper()} ({decision.code}): {decision.sentence}.",
        f"bold {EFFECT_STYLE[decision.effect]}",
    )
    for one in decision.policies:
        say(out, f"{one.effect} {one.id}: {one.rule}", EFFECT_STYLE.get(one.effect, ""), indent=2)
    for what, duties in (("obliges to", decision.obligations), ("limited by", decision.limits)):
        for duty in duties:
            say(out, f"{what} {_spelt(duty.document())}", indent=2)
    for error in decision.errors:
        say(out, f"could not be evaluated: {error}", "yellow", indent=2)
    for one in decision.shadow:
        say(out, f"in shadow, not enforced: {one.effect} {one.id}: {one.rule}", "dim", indent=2)
    if decision.valid_until is not None:
        say(out, f"a time window may change this at {decision.document()['valid_until']}", indent=2)
    if decision.effect == "deny":
        say(out, "What would flip it: aegis policy why-not, with the same arguments.", "dim")
    say(out, f"policy set {decision.bundle[:12]}", "dim")


def _spelt(document: dict[str, Any]) -> str:
    kind = document.pop("type")
    parts = [f"{name} {_value(value)}" for name, value in document.items() if value is not None]
    return f"{kind}: {', '.join(parts)}"


def _value(value: Any) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _proposal(out: Console, bundle: Bundle, proposal: Proposal) -> None:
    kind = "facts" if proposal.edit is None else "policy"
    say(out, f"{kind}: {proposal.sentence}", EFFECT_STYLE[proposal.effect], indent=2)
    edit = proposal.edit
    if edit is not None and edit.document is not None:
        for line in changed_lines(bundle.policies[edit.policy], validate(edit.document)):
            say(out, line, "dim", indent=6)
