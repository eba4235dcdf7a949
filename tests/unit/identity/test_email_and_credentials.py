"""Names of people, and the secrets they show instead of a password."""

from __future__ import annotations

import pytest

from aegis.identity.credentials import digest, new_session_id, new_token, same
from aegis.identity.email import parse_email
from aegis.kit.errors import Invalid


@pytest.mark.parametrize(
    ("text", "name"),
    [("Ada@Example.org", "ada@example.org"), ("root@localhost", "root@localhost"), ("a+b_c@x-y.io", "a+b_c@x-y.io")],
)
def test_an_address_has_one_spelling(text: str, name: str) -> None:
    assert parse_email(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aegis",
        "ada@",
        "@example.org",
        "ada@example.org\n",
        " ada@example.org",
        "ada@exam ple.org",
        "ada@-example.org",
        "ada@@example.org",
        "ädä@example.org",
        "ada@exаmple.org",  # a Cyrillic letter
        "İ@example.org",
        "ada@" + "a" * 64 + ".org",
        "a" * 65 + "@example.org",
        "ada@" + ".".join(["a" * 60] * 5),
        "<script>@example.org",
    ],
)
def test_what_is_not_plainly_an_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_email(text)
    assert refused.value.code == "bad_email"


def test_the_system_itself_can_never_be_somebodys_name() -> None:
    with pytest.raises(Invalid):
        parse_email("aegis")


def test_secrets_are_long_different_and_only_kept_as_digests() -> None:
    made = {new_session_id() for _ in range(50)} | {new_token() for _ in range(50)}
    assert len(made) == 100
    assert all(len(secret) >= 43 for secret in made)
    assert all(len(digest(secret)) == 32 for secret in made)


def test_comparing_takes_any_text() -> None:
    assert same("a token", "a token")
    assert not same("a token", "another token")
    assert not same("", "a token")
    assert not same("\ud800", "a token")
