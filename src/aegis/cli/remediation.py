"""A remediation as a person reads it in the terminal before deciding: everything that the page shows of it.

`aegis incidents`, `approvals` and `approve` print it. It takes an answer of the API that was made visible before, and
decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from rich.text import Text

from aegis.cli.difference import leaves, told

Document = dict[str, Any]  # an answer of the API
VERDICT_STYLE = {"helped": "green", "no_effect": "yellow", "harmed": "red", "inconclusive": "yellow"}
WAITS = "awaiting_approval"


def lines(item: Document, now: datetime) -> Iterator[Text]:
    """What it is, what it would change, how far it reaches, how it is taken back, who allowed it, how it went."""
    yield Text(f"{item['id']}  {item['action']} on {_target(item)}  {item['state']}", style="bold")
    yield Text(item["sentence"])
    plan = item["plan"]
    if plan is not None:
        yield from (Text(f"  {line}") for step in leaves(plan["diff"]) for line in told(step))
        yield from (Text(f"  warning: {warning}", style="yellow") for warning in plan["warnings"])
        yield Text(f"  reaches {_reach(plan['blast_radius'])}; {_undo(plan['inverse'])}")
    if item["decision"] is not None:
        yield Text(f"  {_policy(item['decision'])}")
    if item["state"] == WAITS:
        yield Text(f"  {_approvals(item, now)}")
    for refusal in item["refusals"]:
        yield Text(f"  refused ({refusal['code']}): {refusal['sentence']}", style="yellow")
    if item["verdict"] is not None:
        yield _verdict(item["verdict"])
    if item["state"] == WAITS:
        yield Text(f"  aegis approve {item['id']}    or    aegis reject {item['id']} --reason …", style="cyan")


def waits(item: Document) -> bool:
    return bool(item["state"] == WAITS)


def _target(item: Document) -> str:
    target = item["target"]
    return f"{target['kind'].lower()}/{target['namespace']}/{target['name']}"


def _reach(radius: Document) -> str:
    """`{pods: 2, fraction: "2/3", service: "cart"}`: 2 of 3 pods of cart."""
    pods = radius.get("pods")
    if pods is None:
        return "nobody knows how many pods"
    _, _, whole = str(radius.get("fraction") or "").partition("/")
    of = f" of {radius['service']}" if radius.get("service") else ""
    return f"{pods}{f' of {whole}' if whole else ''} pod{'' if (whole or str(pods)) == '1' else 's'}{of}"


def _undo(inverse: Document | None) -> str:
    if inverse is None:
        return "cannot be taken back"
    given = "".join(f", {name} {value}" for name, value in inverse.get("params", {}).items())
    return f"undo: {inverse['action']}{given}"


def _policy(decision: Document) -> str:
    """The policies that decided; a decision by none says so in its sentence."""
    rules = "; ".join(" ".join(filter(None, (one["id"], one.get("rule")))) for one in decision.get("policies", []))
    return f"{'allowed' if decision['effect'] == 'allow' else 'denied'} by {rules}" if rules else decision["sentence"]


def _approvals(item: Document, now: datetime) -> str:
    got = [one["by"] for one in item["approvals"]["got"] if one["verdict"] == "approve"]
    by = f" ({', '.join(got)})" if got else ""
    return f"approvals {len(got)} of {item['approvals']['needed']}{by}, {_until(item['approval_expires_at'], now)}"


def _until(text: str | None, now: datetime) -> str:
    if text is None:
        return "without an end"
    end = datetime.fromisoformat(text)
    left = end - now
    at = end.astimezone().strftime("%H:%M:%S")
    if left <= timedelta():
        return f"expired at {at}"
    minutes = round(left.total_seconds() / 60)
    return f"expires at {at}, in {f'{minutes} min' if minutes else 'less than a minute'}"


def _verdict(verdict: Document) -> Text:
    """While it is too early to say there is a sentence and no word."""
    word = verdict["verdict"]
    if word is None:
        return Text(f"  not known yet: {verdict['sentence']}")
    return Text(f"  {word.upper()}: {verdict['sentence']}", style=VERDICT_STYLE.get(word, ""))
