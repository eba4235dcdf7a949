"""The Merkle tree: RFC 9162's own examples, and every proof that can be made can be checked and no other."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from aegis.audit.tree import EMPTY_ROOT, Frontier, consistency, consistent, included, inclusion, leaf_hash, root

# The leaf inputs and roots of the Certificate Transparency reference implementation's tests.
INPUTS = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAVES = [leaf_hash(entry) for entry in INPUTS]
leaf_lists = st.lists(st.binary(min_size=1, max_size=4).map(leaf_hash), min_size=1, max_size=40)


def test_roots_are_those_of_the_reference_implementation() -> None:
    assert EMPTY_ROOT == hashlib.sha256(b"").digest() == root([])
    assert [root(LEAVES[: size + 1]).hex() for size in range(8)] == list(ROOTS)


@given(leaf_lists, st.data())
def test_every_leaf_proves_its_place_and_no_other_leaf_does(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = inclusion(leaves, index)
    assert included(leaves[index], index, len(leaves), path, root(leaves))
    assert not included(leaf_hash(b"something else"), index, len(leaves), path, root(leaves))
    assert not included(leaves[index], index + len(leaves), len(leaves), path, root(leaves))


@given(leaf_lists, st.data())
def test_a_prefix_proves_itself_and_a_changed_past_does_not(leaves: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(1, len(leaves)))
    path = consistency(leaves, old)
    assert consistent(old, root(leaves[:old]), len(leaves), root(leaves), path)
    changed = [leaf_hash(b"changed past"), *leaves[1:old]]
    assert not consistent(old, root(changed), len(leaves), root(leaves), path)


@given(leaf_lists)
def test_a_frontier_grows_to_the_same_root(leaves: list[bytes]) -> None:
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    assert (frontier.size, frontier.root()) == (len(leaves), root(leaves))
