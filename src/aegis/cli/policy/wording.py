"""One policy as people read it: a few lines of words, or the document in YAML, and how two documents differ.

Shown by `aegis policy show` and the plan of `apply`. The YAML says the same to `policy.yaml_text` as the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import yaml

from aegis.policy.documents import Limit, Notify, Obligation, Policy, RequireApproval, Verify
from aegis.policy.phrases import phrase

CONTEXT = 2
_PLAIN = re.compile(r"[A-Za-z][^\x00-\x1f]*", re.ASCII)
_TAKEN = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def lines(policy: Policy) -> Iterator[str]:
    """Whom it is for, when it applies, and what an allow obliges to."""
    shadow = " (shadow: recorded, never enforced)" if policy.mode == "shadow" else ""
    roles = "everybody" if "*" in policy.principals.roles else ", ".join(policy.principals.roles)
    yield f"{policy.effect}{shadow} {roles}: {', '.join(policy.actions)} on {', '.join(policy.resources)}"
    if policy.conditions is not None:
        yield f"when {phrase(policy.conditions)}"
    for limit in policy.limits:
        yield f"limit: {_limit(limit)}"
    for duty in policy.obligations:
        yield f"obligation: {_duty(duty)}"


def _limit(limit: Limit) -> str:
    how = f"in {limit.per}" if limit.per is not None else "at a time"
    return f"at most {limit.max} {how} for each {' and '.join(limit.scope)}"


def _duty(duty: Obligation) -> str:
    extra = "" if duty.fulfillment == "required" else " (best effort)"
    if isinstance(duty, RequireApproval):
        needs = duty.with_
        within = f" within {needs.within}" if needs.within is not None else ""
        return f"approval by {needs.count} of {', '.join(needs.from_roles)}{within}{extra}"
    if isinstance(duty, Verify):
        within = f" within {duty.with_.within}" if duty.with_.within is not None else ""
        return f"verification{within}{extra}"
    if isinstance(duty, Notify):
        return f"a notice to {duty.with_.channel}{extra}"
    return f"a dry run first{extra}"


class _Writer(yaml.SafeDumper):
    """Quotes what a reader of another YAML could take for something else than text, as our own reader asks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(writer: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _TAKEN
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Writer.add_representer(str, _text)


def as_yaml(policy: Policy) -> str:
    """The document as a file that `apply` takes, in the order of the format: a database keeps none."""
    document = policy.document()
    for free in [document, *document.get("tests", ())]:
        free |= {name: _in_order(free[name]) for name in ("labels", "request") if name in free}
    written: str = yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=4096)
    return written


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def changed_lines(before: Policy, after: Policy) -> list[str]:
    """The lines of YAML that differ, with what is around them, each beginning with +, - or a space."""
    old, new = as_yaml(before).splitlines(), as_yaml(after).splitlines()
    return [
        line for line in unified_diff(old, new, lineterm="", n=CONTEXT) if not line.startswith(("---", "+++", "@@"))
    ]
