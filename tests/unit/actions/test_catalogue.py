"""The closed catalogue: every kind is described once, and its rights are the fewest that do the work."""

from __future__ import annotations

import pytest

from aegis.actions.catalogue import CATALOGUE, Reversibility, kind_of, rbac_rules
from aegis.actions.model import ActionKind
from aegis.actions.refusals import Refused
from aegis.executor.handlers import HANDLERS


def test_every_kind_has_one_entry_and_one_handler() -> None:
    assert set(CATALOGUE) == set(HANDLERS) == set(ActionKind)


@pytest.mark.parametrize("kind", ActionKind)
def test_each_kind_says_how_it_is_taken_back_or_why_it_cannot_be(kind: ActionKind) -> None:
    entry = CATALOGUE[kind]
    assert (entry.reversibility is Reversibility.REVERSIBLE) == (entry.inverse is not None)
    assert entry.inverse or entry.irreversible_because


def test_nothing_outside_the_catalogue_is_an_action() -> None:
    with pytest.raises(Refused, match="not in the catalogue"):
        kind_of("delete_deployment")


def test_the_rights_hold_no_wildcard_no_secret_and_no_deletion() -> None:
    for rule in rbac_rules():
        assert "*" not in (*rule.resources, *rule.verbs)
        assert not {"delete", "deletecollection", "escalate", "impersonate"} & set(rule.verbs)
        assert "secrets" not in rule.resources
