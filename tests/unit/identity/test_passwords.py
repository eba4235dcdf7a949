"""Passwords: which are refused, how they are stored, and that nobody can tell who exists by the clock."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from aegis.identity.passwords import LANES, MAX_LENGTH, MEMORY_KIB, MIN_LENGTH, ROUNDS, Passwords, refuse_weak
from aegis.kit.errors import Invalid

GOOD = "kettle river moss"


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords()


def test_the_settings_are_the_owasp_minimum_or_more(passwords: Passwords) -> None:
    assert (MEMORY_KIB, ROUNDS, LANES) >= (19_456, 2, 1)
    assert passwords.hash(GOOD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_is_right_for_its_own_hash_and_no_other(passwords: Passwords) -> None:
    stored = passwords.hash(GOOD)
    assert passwords.check(GOOD, stored).right
    assert not passwords.check(GOOD + " ", stored).right
    assert stored != passwords.hash(GOOD)


def test_nobody_is_never_right_not_even_with_nobodys_own_password(passwords: Passwords) -> None:
    assert not passwords.check("the password of nobody", None).right


def test_the_same_letters_in_another_unicode_form_are_the_same_password(passwords: Passwords) -> None:
    assert passwords.check("ke\u0301ttle river moss", passwords.hash("k\u00e9ttle river moss")).right


def test_a_hash_of_older_settings_is_made_anew(passwords: Passwords) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(GOOD)
    checked = passwords.check(GOOD, old)
    assert checked.right
    assert checked.rehashed is not None
    assert passwords.check(GOOD, checked.rehashed).rehashed is None


@pytest.mark.parametrize("length", [0, 1, MIN_LENGTH - 1, MAX_LENGTH + 1])
def test_a_password_of_the_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(Invalid) as refused:
        refuse_weak(("xk7 ?pq" * 30)[:length], "ada@example.org")
    assert refused.value.code == "password_length"
    assert refused.value.field == "/password"


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "P@ssw0rd1234!",
        "passwordpassword",
        "adminpassword",
        "123456789012",
        "abcdefghijklmn",
        "qwertyuiop12",
        "aaaaaaaaaaaa",
        "abc123abc123",
        "Summer2024!!",
        "changemechangeme",
        "iloveyou!!!!!",
        "ada@example.org",
        "ada@example.org1",
        "adaexample.org",
        "ada example org",
        "correcthorsebatterystaple",
    ],
)
def test_what_everybody_would_try_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        refuse_weak(password, "ada@example.org")
    assert refused.value.code == "password_common"
    assert password not in str(refused.value)


@pytest.mark.parametrize("password", [GOOD, "x1928374650!?", "zwei Kühe am Fluss", "8305927461829", "tr4mway-sugar-09"])
def test_a_password_that_is_not_on_the_list_is_accepted(password: str) -> None:
    refuse_weak(password, "ada@example.org")
