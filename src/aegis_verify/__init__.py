"""aegis-verify: checks an exported audit log against signed checkpoints, with nothing but Python's standard library.

For outsiders: it imports nothing of Aegis, needs the export, checkpoints that somebody kept outside the database, and
the public key line, and names the first bad entry. It never writes and never talks to a network.

    aegis-verify export.ndjson --checkpoints witness.ndjson --key audit.vkey
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OK, BAD, UNUSABLE = 0, 1, 2

HELP = """\
Checks an exported Aegis audit log. Three files are needed, and each should come from a different hand:

  the export       the log as the database tells it today     aegis audit export > export.ndjson
  the checkpoints  signed statements of what it was           the witness file, kept outside the database
  the key          the public line that checks signatures     aegis audit key > audit.vkey

Every entry is hashed again, the Merkle tree (RFC 9162) is rebuilt, and its root must be the signed one wherever a
checkpoint was signed. An edited, deleted, inserted, swapped or cut-off entry is named. Entries after the last
checkpoint are counted but cannot be vouched for yet.
"""


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
class Key:
    """A C2SP verifier key: the log's name and its Ed25519 public key."""

    name: str
    public: bytes

    def mark(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public).digest()[:4]


@dataclass(frozen=True)
class Checkpoint:
    """What a note claims; whether the claim is signed is asked only where it matters, because that is slow."""

    where: str
    note: str
    size: int
    root: bytes
    leaves: tuple[bytes, ...]  # of the entries since the checkpoint before, where the witness kept them

    def signed_by(self, key: Key) -> bool:
        text, _, signatures = self.note.partition("\n\n")
        prefix = f"— {key.name} "
        for line in signatures.splitlines():
            raw = _base64(line.removeprefix(prefix)) if line.startswith(prefix) else b""
            if raw[:4] == key.mark() and ed25519_good(key.public, f"{text}\n".encode(), raw[4:]):
                return True
        return False

    def insist(self, key: Key) -> None:
        if not self.signed_by(key):
            raise Bad(f"{self.where} carries no good signature of {key.name}: the checkpoint itself was changed")


def read_key(line: str) -> Key:
    """The key in a verifier key line."""
    name, _, rest = line.strip().partition("+")
    mark, _, encoded = rest.partition("+")
    raw = _base64(encoded)
    key = Key(name, raw[1:])
    if raw[:1] != b"\x01" or len(raw) != 33 or mark != key.mark().hex():
        raise Unusable("the key is not a verifier key line like 'aegis-audit/0123…+12ab34cd+AQ…'")
    return key


def read_checkpoints(path: Path, key: Key) -> list[Checkpoint]:
    """All checkpoints of a file, by size: one JSON object a line with `checkpoint` and, from a witness, `leaves`."""
    found = []
    for number, line in _lines(path):
        where = f"{path.name} line {number}"
        document = _json(line, where)
        if not isinstance(document, dict) or not isinstance(document.get("checkpoint"), str):
            raise Unusable(f"{where} has no checkpoint")
        found.append(_checkpoint(document, where, key))
    if not found:
        raise Unusable(f"{path.name} holds no checkpoint: without one an edit cannot be told from the truth")
    return sorted(found, key=lambda mark: mark.size)


def _checkpoint(document: dict[str, Any], where: str, key: Key) -> Checkpoint:
    note = document["checkpoint"]
    lines = note.partition("\n\n")[0].split("\n")
    if len(lines) != 3 or _SIZE.fullmatch(lines[1]) is None:
        raise Unusable(f"{where} is not a checkpoint of an audit log")
    if lines[0] != key.name:
        raise Unusable(f"{where} is a checkpoint of {lines[0]}, and the key is that of {key.name}")
    try:
        leaves = tuple(bytes.fromhex(leaf) for leaf in document.get("leaves", ()))
    except (TypeError, ValueError):
        raise Unusable(f"{where} has leaves that are no hashes") from None
    return Checkpoint(where, note, int(lines[1]), _base64(lines[2]), leaves)


# --- The check -------------------------------------------------------------------------------------------------------


def verify(export: Path, checkpoints: list[Checkpoint], key: Key) -> tuple[int, int]:
    """How many entries were checked and how many of them a checkpoint covers; raises `Bad` at the first bad one."""
    tree, covered = Tree(), 0
    pending = [mark for mark in checkpoints if mark.size > 0]
    checkpoints[-1].insist(key)
    seen = _witnessed(checkpoints)
    for number, line in _lines(export):
        leaf = _entry(line, tree.size, f"{export.name} line {number}")
        if seen.get(tree.size, leaf) != leaf:
            next(mark for mark in pending if mark.size > tree.size).insist(key)
            raise Bad(f"entry {tree.size} is not the entry that was witnessed there")
        tree.append(leaf)
        while pending and pending[0].size == tree.size:
            mark = pending.pop(0)
            if mark.root != tree.root():
                mark.insist(key)
                raise Bad(_among(covered, tree.size))
            covered = tree.size
    if pending:
        raise Bad(
            f"entry {tree.size} is missing: a checkpoint covers {pending[0].size} entries, the export ends before"
        )
    return tree.size, covered


def _among(start: int, end: int) -> str:
    if end - start == 1:
        return f"entry {start} is not what was checkpointed"
    return f"one of the entries {start} to {end - 1} is not what was checkpointed"


def _witnessed(checkpoints: list[Checkpoint]) -> dict[int, bytes]:
    """Leaf hashes by position, as far as they lead to the roots of the checkpoints they came with."""
    tree, seen = Tree(), dict[int, bytes]()
    for mark in checkpoints:
        if mark.size != tree.size + len(mark.leaves):
            return seen
        fresh = dict(enumerate(mark.leaves, start=tree.size))
        for leaf in mark.leaves:
            tree.append(leaf)
        if tree.root() != mark.root:
            return seen
        seen |= fresh
    return seen


_LINE = re.compile(rb'\{"entry":(\{.*\}),"leaf":"([0-9a-f]{64})","position":(\d{1,18})\}\r?\n?', re.DOTALL)
_SIZE = re.compile(r"\d{1,18}", re.ASCII)


def _entry(line: bytes, expected: int, where: str) -> bytes:
    """The leaf hash of an exported line, computed from the entry's own bytes."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise Unusable(f"{where} is not an exported audit entry")
    position, leaf = int(found[3]), leaf_hash(found[1])
    if position > expected:
        raise Bad(f"entry {expected} is missing: entry {position} stands in its place")
    if position < expected:
        raise Bad(f"entry {position} stands where entry {expected} belongs")
    if leaf.hex() != found[2].decode():
        raise Bad(f"entry {expected} was edited: its bytes do not have the recorded hash")
    return leaf


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from None


def _json(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise Unusable(f"{where} is not JSON") from None


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _key_line(given: str) -> str:
    if "+" in given:
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise Unusable(f"{given} is neither a verifier key line nor a file that holds one") from None


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0: good; 1: tampered (the first bad entry is named); 2: the files cannot be checked."""
    parser = argparse.ArgumentParser(
        prog="aegis-verify",
        description=HELP,
        epilog="Exit codes: 0 good, 1 tampered (the first bad entry is named), 2 the files cannot be checked.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("export", type=Path, help="the log, one entry a line")
    parser.add_argument("--checkpoints", type=Path, required=True, help="the witness's file, one checkpoint a line")
    parser.add_argument("--key", required=True, help="the verifier key line, or a file that holds it")
    options = parser.parse_args(arguments)
    try:
        key = read_key(_key_line(options.key))
        checked, covered = verify(options.export, read_checkpoints(options.checkpoints, key), key)
    except Bad as bad:
        print(f"TAMPERED: {bad}", file=sys.stderr)  # noqa: T201
        return BAD
    except Unusable as problem:
        print(f"cannot check: {problem}", file=sys.stderr)  # noqa: T201
        return UNUSABLE
    open_end = f"; the last {checked - covered} are not under a checkpoint yet" if checked > covered else ""
    print(f"good: {checked} entries, {covered} of them under signed checkpoints{open_end}")  # noqa: T201
    return OK


if __name__ == "__main__":
    sys.exit(main())
