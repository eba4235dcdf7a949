"""Namespaces: exact membership, no normalising, the cluster's own always left out."""

from __future__ import annotations

import pytest

from aegis.actions.refusals import Refusal, Refused
from aegis.executor.namespaces import Namespaces

TRICKS = [
    "", " ", "shop ", " shop", "shop\n", "Shop", "SHOP", "ｓｈｏｐ", "ѕhop", "shop\x00", "shop/../kube-system",
    "../shop", "shop%0a", "-shop", "shop-", "s" * 64, "shop.aegis", "shop\u200b", "*", "shop,kube-system",
]  # fmt: skip


def code_of(namespaces: Namespaces, name: str) -> Refusal:
    with pytest.raises(Refused) as refused:
        namespaces.check(name)
    return refused.value.refusal


def test_a_listed_namespace_is_allowed() -> None:
    Namespaces(frozenset({"shop"})).check("shop")


@pytest.mark.parametrize("name", TRICKS)
def test_a_name_that_only_looks_like_a_listed_one_is_no_name(name: str) -> None:
    assert code_of(Namespaces(frozenset({"shop"})), name) is Refusal.BAD_NAMESPACE


def test_a_namespace_that_is_not_listed_is_refused() -> None:
    assert code_of(Namespaces(frozenset({"shop"})), "shop2") is Refusal.NAMESPACE_NOT_ALLOWED


@pytest.mark.parametrize("name", ["kube-system", "kube-public", "aegis-system"])
def test_protected_namespaces_are_refused_even_when_listed(name: str) -> None:
    listed = frozenset({"shop", name})
    assert code_of(Namespaces(listed), name) is Refusal.NAMESPACE_PROTECTED
    Namespaces(listed, unsafe_protected=True).check(name)
