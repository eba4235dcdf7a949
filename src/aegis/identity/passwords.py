"""Passwords: which are accepted, how they are hashed, and checking one in the same time for known and unknown people.

argon2id with the OWASP minimum (m=19 MiB, t=2, p=1) or more; how many hashes run at once, and so how much memory a
flood of logins takes, is bounded by `api.hashing`. A password never leaves this module, in no message and no log.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from aegis.kit.errors import Invalid

MIN_LENGTH, MAX_LENGTH = 12, 128
MIN_DIFFERENT = 5
MEMORY_KIB, ROUNDS, LANES = 19_456, 2, 1
_RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1qaz2wsx3edc4rfv")
_LEET = str.maketrans("4301$5@7", "aeoissat")


@dataclass(frozen=True, slots=True)
class Checked:
    """`rehashed` is the same password under the settings of today, where the stored hash has older ones."""

    right: bool
    rehashed: str | None = None


class Passwords:
    """Hashes and checks, on the thread that asks."""

    def __init__(self) -> None:
        self._hasher = PasswordHash((Argon2Hasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=LANES),))
        self._nobody = self._hasher.hash("the password of nobody")

    def hash(self, password: str) -> str:
        """The stored form of an accepted password."""
        return self._hasher.hash(_one_form(password))

    def check(self, password: str, stored: str | None) -> Checked:
        """Whether it is the one; `stored` None (nobody by that name) takes as long and is never right."""
        right, rehashed = self._hasher.verify_and_update(_one_form(password), stored or self._nobody)
        return Checked(right, rehashed) if stored is not None else Checked(right=False)


def refuse_weak(password: str, email: str) -> None:
    """Raises `Invalid` for a password of the wrong length or one that anybody would try first."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        rule = f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters."
        raise Invalid("password_length", rule, field="/password")
    if _guessable(_one_form(password).lower(), email):
        hint = "Take a few words that do not belong together."
        raise Invalid(
            "password_common", "this password is among the first that get tried.", field="/password", hint=hint
        )


def _guessable(password: str, email: str) -> bool:
    known = _common() | {email, *re.split(r"[@.]", email), email.rpartition("@")[2]}
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", password)
    return (
        len(set(password)) < MIN_DIFFERENT
        or _is_run(password)
        or _letters(core) == _letters(email)
        or any(
            _made_of(known, reading) for reading in (password, core, *(t.translate(_LEET) for t in (password, core)))
        )
    )


def _letters(text: str) -> str:
    """Without what people put between: the address does not become a password by leaving out its dots."""
    return re.sub(r"[\W_]+", "", text)


def _made_of(known: frozenset[str], text: str) -> bool:
    """One known word, the same one over and over, or two in a row."""
    repeated = re.fullmatch(r"(.+?)\1+", text)
    words = {text, repeated[1]} if repeated else {text}
    return bool(words & known) or any(text[:cut] in known and text[cut:] in known for cut in range(3, len(text) - 2))


def _is_run(text: str) -> bool:
    """Nothing but neighbours on the keyboard or in the alphabet, forwards, backwards or repeated."""
    steps = {pair for run in _RUNS for pair in itertools.pairwise(run)}
    jumps = sum(
        pair not in steps and pair[::-1] not in steps and pair[0] != pair[1] for pair in itertools.pairwise(text)
    )
    return jumps <= len(text) // 8


@cache
def _common() -> frozenset[str]:
    return frozenset(files("aegis.identity").joinpath("common_passwords.txt").read_text(encoding="utf-8").split())


def _one_form(password: str) -> str:
    """Keyboards write the same letters in different Unicode forms."""
    return unicodedata.normalize("NFC", password)
