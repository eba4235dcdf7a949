"""The tree gives RFC 9162's roots, and its proofs prove exactly what they should."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from aegis.audit.tree import (
    EMPTY_ROOT,
    Frontier,
    Range,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The test vectors of Certificate Transparency (RFC 6962 reference implementation).
INPUTS = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")] + [
    bytes.fromhex("606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves_of(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def recursive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(recursive_root(leaves[:split]), recursive_root(leaves[split:]))


def roots(leaves: list[bytes], ranges: list[Range]) -> list[bytes]:
    return [root_of(leaves[start:end]) for start, end in ranges]


def test_the_roots_are_those_of_the_published_vectors() -> None:
    frontier = Frontier()
    for entry, root in zip(INPUTS, ROOTS, strict=True):
        frontier.append(leaf_hash(entry))
        assert frontier.root().hex() == root


@given(st.integers(0, 300))
def test_growing_leaf_by_leaf_gives_the_recursive_root(count: int) -> None:
    assert root_of(leaves_of(count)) == recursive_root(leaves_of(count))


@given(st.integers(0, 200), st.integers(0, 100))
def test_a_frontier_survives_being_stored(count: int, more: int) -> None:
    stored = Frontier.of(leaves_of(count))
    again = Frontier.from_bytes(count, stored.to_bytes())
    for leaf in leaves_of(count + more)[count:]:
        again.append(leaf)
    assert again.root() == root_of(leaves_of(count + more))


@given(st.data())
def test_every_leaf_can_be_shown_to_be_in_the_tree_and_no_other(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    proof = roots(leaves, inclusion_ranges(index, size))
    root = root_of(leaves)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    other = data.draw(st.integers(0, size - 1))
    assert other == index or not verify_inclusion(leaves[index], other, size, proof, root)


@given(st.data())
def test_growth_can_be_shown_and_rewriting_cannot(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 200))
    old = data.draw(st.integers(1, new))
    leaves = leaves_of(new)
    proof = roots(leaves, consistency_ranges(old, new))
    old_root, new_root = root_of(leaves[:old]), root_of(leaves)
    assert verify_consistency(old, new, old_root, new_root, proof)
    changed = data.draw(st.integers(0, old - 1))
    rewritten = [*leaves[:changed], leaf_hash(b"rewritten"), *leaves[changed + 1 :]]
    forged = roots(rewritten, consistency_ranges(old, new))
    assert not verify_consistency(old, new, old_root, root_of(rewritten), forged)


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT
