"""Addresses that login limits go by: what a stranger says of itself is never believed."""

from __future__ import annotations

import pytest
from fastapi import Request

from aegis.api.peer import address_of, networks

OURS = "10.0.0.0/8, 192.0.2.7, 2001:db8::/32"


def asked(peer: str | None, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    return Request({"type": "http", "headers": headers, "client": None if peer is None else (peer, 4000)})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.5", (), "203.0.113.5"),
        ("203.0.113.5", ("198.51.100.1",), "203.0.113.5"),
        ("10.1.2.3", ("198.51.100.1",), "198.51.100.1"),
        ("::ffff:10.1.2.3", ("198.51.100.1",), "198.51.100.1"),
        ("2001:db8::1", ("2001:470::9",), "2001:470::9"),
        ("10.1.2.3", ("1.1.1.1, 198.51.100.1, 192.0.2.7",), "198.51.100.1"),
        ("10.1.2.3", ("1.1.1.1", "198.51.100.1"), "198.51.100.1"),
        ("10.1.2.3", ("10.9.9.9",), "10.1.2.3"),
        ("10.1.2.3", (), "10.1.2.3"),
        ("10.1.2.3", ("198.51.100.1, account:ada",), "10.1.2.3"),
        (None, ("198.51.100.1",), "unknown"),
    ],
)
def test_only_our_proxies_say_for_whom_they_ask(peer: str | None, forwarded: tuple[str, ...], address: str) -> None:
    assert address_of(asked(peer, *forwarded), networks(OURS)) == address


def test_without_proxies_the_peer_is_who_asks() -> None:
    assert address_of(asked("127.0.0.1", "198.51.100.1"), networks("")) == "127.0.0.1"
