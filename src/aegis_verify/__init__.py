"""aegis-verify: checks an exported audit log against signed checkpoints, with nothing but Python's standard library.

For outsiders: it imports nothing of Aegis, needs the export, checkpoints that somebody kept outside the database, and
the public key line, and names the first bad entry. It never writes and never talks to a network.

    aegis-verify export.ndjson --checkpoints witness.ndjson --key 'aegis/audit+12ab34cd+AQ...'
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ORIGIN = "aegis/audit"
OK, BAD, UNUSABLE = 0, 1, 2


class Bad(Exception):
    """The log is not what was checkpointed; the message names the first bad entry."""


class Unusable(Exception):
    """The files given cannot be checked."""


# --- Ed25519 verification, RFC 8032 §5.1 and its appendix (slow, and slow is fine here) ------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar: int, point: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _same(p: Point, q: Point) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def _x_of(y: int, sign: int) -> int | None:
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - square) % P != 0:
        return None
    return P - x if (x & 1) != sign else x


def _point(raw: bytes) -> Point | None:
    number = int.from_bytes(raw, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    x = _x_of(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


_BASE_Y = 4 * pow(5, P - 2, P) % P
_BASE = _point(_BASE_Y.to_bytes(32, "little"))


def ed25519_good(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is this key's over the message."""
    key = _point(public) if len(public) == 32 else None
    nonce = _point(signature[:32]) if len(signature) == 64 else None
    if key is None or nonce is None or _BASE is None:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= L:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return _same(_times(scalar, _BASE), _add(nonce, _times(challenge, key)))


# --- The Merkle tree, RFC 9162 §2.1 ----------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


class Tree:
    """Grows one leaf at a time and knows its root."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        node, size = leaf, self.size
        while size & 1:
            node, size = hashlib.sha256(b"\x01" + self._peaks.pop() + node).digest(), size >> 1
        self._peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self._peaks:
            return hashlib.sha256(b"").digest()
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = hashlib.sha256(b"\x01" + peak + node).digest()
        return node


# --- Checkpoints, C2SP signed-note and tlog-checkpoint ---------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    size: int
    root: bytes
    leaves: tuple[bytes, ...]  # of the entries since the checkpoint before, where the witness kept them


def read_key(line: str) -> bytes:
    """The 32-byte public key in a verifier key line."""
    parts = line.strip().split("+", 2)
    try:
        raw = base64.b64decode(parts[2], validate=True)
        wanted = hashlib.sha256(parts[0].encode() + b"\n" + raw).digest()[:4].hex()
        if parts[0] != ORIGIN or raw[0] != 1 or len(raw) != 33 or parts[1] != wanted:
            raise ValueError
    except (IndexError, ValueError):
        raise Unusable("the key is not a verifier key line like 'aegis/audit+12ab34cd+AQ...'") from None
    return raw[1:]


def read_note(note: str, public: bytes, where: str) -> tuple[int, bytes]:
    """Size and root of a signed checkpoint; raises `Bad` when its signature is not good."""
    text, separator, signatures = note.partition("\n\n")
    lines = text.split("\n")
    if not separator or len(lines) != 3 or lines[0] != ORIGIN or not lines[1].isdigit():
        raise Unusable(f"{where} is not a checkpoint of an Aegis audit log")
    mark = hashlib.sha256(ORIGIN.encode() + b"\n\x01" + public).digest()[:4]
    for line in signatures.splitlines():
        prefix = f"— {ORIGIN} "
        raw = base64.b64decode(line[len(prefix) :]) if line.startswith(prefix) else b""
        if raw[:4] == mark and ed25519_good(public, f"{text}\n".encode(), raw[4:]):
            return int(lines[1]), base64.b64decode(lines[2])
    raise Bad(f"{where} carries no good signature of this key")


def read_checkpoints(path: Path, public: bytes) -> list[Checkpoint]:
    """All checkpoints of a file, by size: one JSON object a line with `checkpoint` and, from a witness, `leaves`."""
    found = []
    for number, line in _lines(path):
        where = f"{path.name} line {number}"
        document = _json(line, where)
        if not isinstance(document, dict) or not isinstance(document.get("checkpoint"), str):
            raise Unusable(f"{where} has no checkpoint")
        size, root = read_note(document["checkpoint"], public, where)
        leaves = tuple(bytes.fromhex(leaf) for leaf in document.get("leaves", ()))
        found.append(Checkpoint(size, root, leaves))
    if not found:
        raise Unusable(f"{path.name} holds no checkpoint: without one an edit cannot be told from the truth")
    return sorted(found, key=lambda mark: mark.size)


# --- The check -------------------------------------------------------------------------------------------------------


def verify(export: Path, checkpoints: list[Checkpoint]) -> tuple[int, int]:
    """How many entries were checked and how many of them a checkpoint covers; raises `Bad` at the first bad one."""
    tree, covered = Tree(), 0
    pending = list(checkpoints)
    known = _known_leaves(checkpoints)
    while pending and pending[0].size == 0:
        pending.pop(0)
    for number, line in _lines(export):
        entry, leaf = _entry(_json(line, f"{export.name} line {number}"), tree.size, f"{export.name} line {number}")
        if leaf_hash(entry) != leaf:
            raise Bad(f"entry {tree.size} was edited: its bytes do not have the recorded hash")
        if known.get(tree.size, leaf) != leaf:
            raise Bad(f"entry {tree.size} is not the entry that the witness saw there")
        tree.append(leaf)
        while pending and pending[0].size == tree.size:
            if pending.pop(0).root != tree.root():
                raise Bad(f"one of the entries {covered} to {tree.size - 1} is not what was checkpointed")
            covered = tree.size
    if pending:
        raise Bad(
            f"entry {tree.size} is missing: a checkpoint covers {pending[0].size} entries, the export ends before"
        )
    return tree.size, covered


def _known_leaves(checkpoints: list[Checkpoint]) -> dict[int, bytes]:
    return {
        mark.size - len(mark.leaves) + offset: leaf for mark in checkpoints for offset, leaf in enumerate(mark.leaves)
    }


def _entry(document: Any, expected: int, where: str) -> tuple[bytes, bytes]:
    try:
        position, entry, leaf = document["position"], document["entry"].encode(), bytes.fromhex(document["leaf"])
    except (TypeError, KeyError, ValueError, AttributeError):
        raise Unusable(f"{where} is not an exported audit entry") from None
    if position != expected:
        raise Bad(f"entry {expected} is missing or out of order: entry {position} stands in its place")
    return entry, leaf


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}") from None


def _json(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise Unusable(f"{where} is not JSON") from None


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: good; 1: tampered (the first bad entry is named); 2: the files cannot be checked."""
    parser = argparse.ArgumentParser(
        prog="aegis-verify",
        description="Check an exported Aegis audit log against checkpoints kept outside its database.",
        epilog="Exit codes: 0 good, 1 tampered, 2 the files cannot be checked.",
    )
    parser.add_argument("export", type=Path, help="from `aegis audit export`")
    parser.add_argument(
        "--checkpoints", type=Path, required=True, help="the witness file, or `aegis audit checkpoints --json`"
    )
    parser.add_argument("--key", required=True, help="the verifier key line, or a file that holds it")
    options = parser.parse_args(arguments)
    try:
        key_file = Path(options.key)
        line = key_file.read_text() if "+" not in options.key and key_file.exists() else options.key
        checked, covered = verify(options.export, read_checkpoints(options.checkpoints, read_key(line)))
    except Bad as bad:
        print(f"TAMPERED: {bad}", file=sys.stderr)  # noqa: T201
        return BAD
    except Unusable as problem:
        print(f"cannot check: {problem}", file=sys.stderr)  # noqa: T201
        return UNUSABLE
    print(f"good: {checked} entries, {covered} of them covered by signed checkpoints")  # noqa: T201
    return OK


if __name__ == "__main__":
    sys.exit(main())
