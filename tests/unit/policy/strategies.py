"""Random policies and requests that often meet: small vocabularies make roles, patterns, values and windows collide.

Instants lie around clock changes and the edges of windows, where mistakes about time live; values are of every type
that JSON has, next to others that look the same. Every document drawn here is valid.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from tests.unit.policy.reference import WEEK, Ask, Document

Conditions = st.SearchStrategy[dict[str, Any]]

ALWAYS: Document = {
    "apiVersion": "aegis.dev/v1",
    "id": "always",
    "effect": "ALLOW",
    "principals": {"roles": ["*"]},
    "actions": ["*", "policies:read", "policies:write"],
    "resources": ["*", "api", "api/*"],
}

ROLES = ("aegis", "sre", "viewer")
ACTIONS = ("scale_deployment", "scale_deployment", "restart_pod", "policies:read", "policies:write")
RESOURCES = (
    "deployment/prod/cart",
    "deployment/prod/cart-2",
    "deployment/shop/ca",
    "pod/shop/cart/x",
    "pod/prod",
    "deployment",
    "api/policies/cart",
    "api/policies",
    "api",
    "apish/policies/cart",
    "deployment/*/cart",
    "deployment/prod/",
    "*",
    "",
    "pod/1/2/3/4/5/6/7/8/9",
)
# When the clocks of each zone change, in UTC. Kathmandu is beside the hour and, like UTC, never changes.
CHANGES_OF = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),  # by half an hour
    "Africa/Casablanca": ("2026-02-15T02:00", "2026-03-22T02:00"),  # around Ramadan
    "Africa/Cairo": ("2026-04-23T22:00", "2026-10-29T21:00"),  # at midnight
    "Pacific/Apia": ("2011-12-30T10:00",),  # a day that never was
    "Asia/Kathmandu": ("2028-02-29T00:00",),
    "UTC": ("2026-01-01T00:00",),
}
ZONES = tuple(CHANGES_OF)
CHANGES = tuple(datetime.fromisoformat(text).replace(tzinfo=UTC) for texts in CHANGES_OF.values() for text in texts)
STARTS = ("00:00", "00:30", "01:30", "02:00", "02:15", "03:00", "08:00", "12:00", "22:00", "23:59")
ENDS = (*STARTS, "01:00", "01:45", "02:30", "18:00", "24:00")
TEXTS = ("", "a", "A", "ab", "prod", "prod-1", "gold", "é", "ß", "🚀", "1", "true", "x" * 40)
ODD_TEXTS = ("e\u0301", "a\nb", "\x00", "Å", "İ", "prod ")  # a policy may not hold all of them, a request may
ADDRESSES = ("10.1.2.3", "10.1.2", "192.168.0.1", "::1", "2001:db8::5", "::ffff:10.1.2.3", "10.1.2.3/32", " 10.1.2.3")
NETWORKS = ("10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32", "::/0")
GLOBS = ("*", "?", "a*a", "ab*b", "a*", "*d", "p*-?", "prod-*", "*a*b*", "??", "", "prod", "**", "[a]")
WHOLE = (0, 1, 2, 3, 7, -1, 2**53 - 1)
BROKEN = (0.0, 0.5, 0.8, 1.0, 2.0, -1.0)
UNUSUAL = (2**53, 2**53 + 1, float(2**53), 2**63, -(2**63) - 1, 10**40, 1e40, 1e300, -0.0, 5e-324)
PATHS = (
    "metadata.tier",
    "metadata.risk",
    "metadata.tags",
    "metadata.address",
    "metadata.deep.level",
    "metadata.gone",
    "metadata.tier.deeper",
    "context.confidence",
    "context.mode",
    "principal.id",
    "principal.roles",
    "principal.gone",
    "principal.id.deeper",
    "resource.kind",
    "resource.namespace",
    "resource.name",
    "metadata.deep",
    "change.replicas",
    "change.replicas.from",
    "change.replicas.to",
    "change.gone.to",
)
ORDERED, PIECES = ("lt", "lte", "gt", "gte"), ("contains", "starts_with", "ends_with")

policy_scalars = st.sampled_from((*TEXTS, *WHOLE, *BROKEN, True, False))
scalars = st.sampled_from((*TEXTS, *ODD_TEXTS, *ADDRESSES, *WHOLE, *BROKEN, *UNUSUAL, True, False))
paths = st.sampled_from(PATHS)


def comparisons() -> Conditions:
    def compare(ops: tuple[str, ...], values: st.SearchStrategy[Any]) -> Conditions:
        return st.fixed_dictionaries({"attr": paths, "op": st.sampled_from(ops), "value": values})

    between = (*ORDERED, *PIECES, "eq", "ne", "in", "not_in")
    return st.one_of(
        compare(("eq", "ne"), policy_scalars),
        compare(ORDERED, st.sampled_from((*WHOLE, *BROKEN, *TEXTS))),
        compare(("in", "not_in"), st.lists(policy_scalars, min_size=1, max_size=3)),
        compare(("contains",), policy_scalars),
        compare(PIECES, st.sampled_from(TEXTS)),
        compare(("matches",), st.sampled_from(GLOBS)),
        compare(("cidr",), st.sampled_from(NETWORKS)),
        compare(("exists",), st.booleans()),
        st.fixed_dictionaries({"attr": paths, "op": st.sampled_from(between), "value_from": paths}),
    )


def windows(zones: tuple[str, ...] = ZONES) -> Conditions:
    days = st.lists(st.sampled_from(WEEK), min_size=1, max_size=7, unique=True)
    parts = {"timezone": st.sampled_from(zones), "from": st.sampled_from(STARTS), "to": st.sampled_from(ENDS)}
    window = st.fixed_dictionaries(parts, optional={"days": days}).filter(lambda one: one["from"] != one["to"])
    return st.fixed_dictionaries({"time": window})


def windows_at_changes() -> st.SearchStrategy[tuple[dict[str, Any], datetime]]:
    """A window and a moment at which the clocks of its own zone change."""
    pairs = [(zone, datetime.fromisoformat(text)) for zone, texts in CHANGES_OF.items() for text in texts]
    made = {zone: windows((zone,)) for zone in ZONES}
    return st.sampled_from(pairs).flatmap(lambda one: st.tuples(made[one[0]], st.just(one[1].replace(tzinfo=UTC))))


def changes() -> Conditions:
    bound = st.integers(0, 5)
    kinds = {"max_percent": st.sampled_from((0, 1, 33, 50, 100, 150)), "max_delta": bound, "min": bound, "max": bound}

    def one_or_more(names: list[str]) -> Conditions:
        return st.fixed_dictionaries({"field": st.sampled_from(("replicas", "gone"))} | {n: kinds[n] for n in names})

    some = st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=4, unique=True).flatmap(one_or_more)
    return st.fixed_dictionaries({"change": some})


def conditions(depth: int = 3) -> Conditions:
    leaves = st.one_of(comparisons(), comparisons(), windows(), changes())
    if depth == 0:
        return leaves
    inner = conditions(depth - 1)
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        leaves,
        st.fixed_dictionaries({"all": several}),
        st.fixed_dictionaries({"any": several}),
        st.fixed_dictionaries({"not": inner}),
    )


def patterns() -> st.SearchStrategy[str]:
    """Literals, beginnings and `*` in each segment, short ones with a tail, and the control plane's own."""
    kinds = st.sampled_from(("deployment", "pod", "dep*", "api", "a*", "*"))
    namespaces = st.sampled_from(("prod", "shop", "pro*", "policies", "*", "*"))
    names = st.sampled_from(("cart", "cart-2", "ca*", "*", "*"))
    whole = st.tuples(kinds, namespaces, names).map("/".join)
    return st.one_of(
        whole,
        st.tuples(kinds, namespaces).map("/".join),
        st.tuples(whole, st.sampled_from(("*", "x", "x*"))).map("/".join),
        st.sampled_from(("*", "deployment/*", "*/prod/*", "api", "api/*", "api/policies/*", "*/*", "*/*/*/*")),
        st.sampled_from(("*", "deployment/*", "deployment/prod/*", "deployment/pro*/*", "deployment/*/cart")),
    )


def obligations() -> st.SearchStrategy[list[dict[str, Any]]]:
    within = st.sampled_from(("30s", "5m", "10m", "1h", "1d"))
    roles = st.lists(st.sampled_from(("approver", "admin")), max_size=1).map(lambda more: ["lead", *more])
    approval = st.fixed_dictionaries({}, optional={"from_roles": roles, "count": st.integers(1, 4), "within": within})
    binding = {"fulfillment": st.sampled_from(("required", "best_effort"))}
    every = st.one_of(
        st.fixed_dictionaries({"type": st.just("require_approval"), "with": approval}, optional=binding),
        st.fixed_dictionaries({"type": st.just("dry_run_first")}, optional=binding),
        st.fixed_dictionaries(
            {"type": st.just("verify")},
            optional=binding | {"with": st.fixed_dictionaries({"within": within})},
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("notify"),
                "with": st.fixed_dictionaries({"channel": st.sampled_from(("#prod", "#ops"))}),
            },
            optional=binding,
        ),
    )
    return st.lists(every, min_size=1, max_size=4, unique_by=lambda one: str(one["type"])) | st.just([])


SCOPES = ("principal", "action", "resource", "namespace")


def limits() -> st.SearchStrategy[list[dict[str, Any]]]:
    scope = st.lists(st.sampled_from(SCOPES), min_size=1, max_size=2, unique=True)
    common = {"scope": scope, "max": st.integers(1, 4)}
    rate = {"type": st.just("rate"), "per": st.sampled_from(("30s", "30m", "1800s", "1h"))}
    either = st.one_of(
        st.fixed_dictionaries(rate | common), st.fixed_dictionaries({"type": st.just("concurrent")} | common)
    )
    return st.lists(either, max_size=3)


# Made once: building a strategy costs more than drawing from it.
EFFECTS = st.sampled_from(("ALLOW", "ALLOW", "DENY"))
MODES = st.sampled_from(("enforce", "enforce", "enforce", "shadow"))
SOME_ROLES = st.one_of(st.just(["*"]), st.lists(st.sampled_from(ROLES), min_size=1, max_size=2, unique=True))
SOME_ACTIONS = st.one_of(st.just(["*"]), st.lists(st.sampled_from(ACTIONS), min_size=2, max_size=3))
SOME_RESOURCES = st.lists(patterns(), min_size=2, max_size=4, unique=True)
SOME_CONDITION = st.one_of(st.none(), conditions(), conditions())
SOME_OBLIGATIONS = obligations()
SOME_LIMITS = limits()


@st.composite
def policies(draw: st.DrawFn, effect: str | None = None, mode: str | None = None, name: str = "p") -> dict[str, Any]:
    effect = effect or draw(EFFECTS)
    document: dict[str, Any] = {
        "apiVersion": "aegis.dev/v1",
        "id": name,
        "effect": effect,
        "mode": mode or draw(MODES),
        "principals": {"roles": draw(SOME_ROLES)},
        "actions": draw(SOME_ACTIONS),
        "resources": draw(SOME_RESOURCES),
    }
    condition = draw(SOME_CONDITION)
    if condition is not None:
        document["conditions"] = condition
    if effect == "ALLOW":
        document["obligations"] = draw(SOME_OBLIGATIONS)
        document["limits"] = draw(SOME_LIMITS)
    return document


def allows() -> st.SearchStrategy[list[Document]]:
    """ALLOWs for everybody and everything that differ in what they oblige to and in their limits."""

    def numbered(parts: list[tuple[list[Any], list[Any]]]) -> list[Document]:
        return [
            {**ALWAYS, "id": f"p{place}", "obligations": duties, "limits": bounds}
            for place, (duties, bounds) in enumerate(parts)
        ]

    return st.lists(st.tuples(SOME_OBLIGATIONS, SOME_LIMITS), min_size=1, max_size=4).map(numbered)


@st.composite
def bundles(draw: st.DrawFn, least: int = 1, most: int = 6) -> list[Document]:
    number = draw(st.integers(least, most))
    return [draw(policies(name=f"p{place}")) for place in range(number)]


@st.composite
def crowds(draw: st.DrawFn) -> list[Document]:
    """More policies than one place of an index holds, for few resources and many roles, some with equal conditions."""
    shared = [None, *draw(st.lists(comparisons(), min_size=2, max_size=2))]
    narrow = st.tuples(
        st.sampled_from(("ALLOW", "ALLOW", "ALLOW", "DENY")),
        st.lists(st.sampled_from((*ROLES, *(f"team-{number}" for number in range(80)), "*")), min_size=1, max_size=3),
        st.sampled_from((["scale_deployment"], ["*"], ["policies:read", "scale_deployment"])),
        st.sampled_from((["deployment/prod/cart"], ["deployment/prod/*"], ["*", "api/policies/*"])),
        st.sampled_from(shared),
    )
    documents: list[Document] = []
    for place, (effect, roles, actions, resources, condition) in enumerate(draw(st.lists(narrow, min_size=12))):
        document = {
            "apiVersion": "aegis.dev/v1",
            "id": f"p{place}",
            "effect": effect,
            "principals": {"roles": roles},
            "actions": actions,
            "resources": resources,
        }
        documents.append(document if condition is None else document | {"conditions": condition})
    return documents


def instants() -> st.SearchStrategy[datetime]:
    """Within two days of a clock change, on quarters of an hour and just beside them."""
    jitter = st.sampled_from((0, 0, 1, -1, 30_000_000, 59_999_999))
    return st.builds(
        lambda change, quarters, micros: change + timedelta(minutes=15 * quarters, microseconds=micros),
        st.sampled_from(CHANGES),
        st.integers(-192, 192),
        jitter,
    )


def requests() -> st.SearchStrategy[Ask]:
    values = st.one_of(scalars, st.lists(scalars, max_size=3), st.none(), st.just({"level": 1}))
    metadata = st.fixed_dictionaries(
        {"tier": values, "risk": scalars},
        optional={
            "tags": st.lists(scalars, max_size=3),
            "address": st.sampled_from(ADDRESSES),
            "deep": st.one_of(st.fixed_dictionaries({"level": scalars}), scalars),
        },
    )
    context = st.fixed_dictionaries({"confidence": scalars}, optional={"mode": values})
    ends = st.sampled_from((*range(8), 0, 4, 4, 2**63, 2.0, "3", True))
    replicas = st.fixed_dictionaries({"to": ends, "from": ends})
    change: Conditions = st.one_of(st.fixed_dictionaries({"replicas": replicas}), st.just({}))
    roles = st.lists(st.sampled_from((*ROLES, "nobody", "*", "team-1")), min_size=2, max_size=3, unique=True).map(tuple)
    return st.builds(
        Ask,
        principal=st.sampled_from(("aegis", "ada", "é", "")),
        roles=st.one_of(roles, roles, st.just(())),
        action=st.sampled_from((*ACTIONS, *ACTIONS, "*", "")),
        resource=st.sampled_from((*["deployment/prod/cart"] * 8, *RESOURCES)),
        now=instants(),
        metadata=metadata,
        context=context,
        change=change,
    )
