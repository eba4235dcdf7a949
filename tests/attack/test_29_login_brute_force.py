"""Attack 29: guessing passwords from one and from many addresses, forged headers, huge passwords, floods of hashes."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.integration.support_api import PASSWORD, TOKEN, Api, api, problem

from aegis.api.auth import Login
from aegis.api.deps import V1
from aegis.api.hashing import AT_ONCE, WAITING
from aegis.storage import attempts
from aegis.storage.attempts import PER_ACCOUNT, PER_ADDRESS, Attempt, network_of

__all__ = ["api"]
pytestmark = pytest.mark.integration
ADA = {"email": "ada@example.org", "password": PASSWORD}


@pytest.fixture
def victim(api: Api) -> Api:
    assert api.client().post("/auth/bootstrap", json=ADA | {"token": TOKEN}).status_code == 201
    return api


def test_a_hundred_guesses_at_once_are_ten_guesses(victim: Api) -> None:
    statuses: Counter[int] = Counter()
    start = threading.Barrier(20)

    def guess(worker: int) -> None:
        with httpx2.Client(base_url=victim.url, trust_env=False, timeout=30) as client:
            start.wait(30)
            for number in range(5):
                body = {"email": ADA["email"], "password": f"guess number {worker}-{number}"}
                headers = {"X-Forwarded-For": f"10.{worker}.{number}.1", "Forwarded": "for=10.0.0.9"}
                statuses[client.post("/api/v1/auth/login", json=body, headers=headers).status_code] += 1

    threads = [threading.Thread(target=guess, args=(worker,)) for worker in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == {401: PER_ACCOUNT, 429: 100 - PER_ACCOUNT}
    assert victim.audit_kinds().count("login:refused") == PER_ACCOUNT
    assert victim.audit_kinds(f"account:{ADA['email']}") == ["login:limited"]  # once, not ninety times
    victim.clock.advance(15 * 60)
    assert victim.client().post("/auth/login", json=ADA).is_success


@contextmanager
def flood(victim: Api, size: int) -> Iterator[list[socket.socket]]:
    """So many logins sent at once; the first ones stand still for as long as attempts cannot be counted."""
    body = json.dumps(ADA).encode()
    head = f"POST {V1}/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close"
    request = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    address = ("127.0.0.1", int(urlsplit(victim.url).port or 0))
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(size)]
        with victim.database.begin() as conn:
            conn.exec_driver_sql("LOCK TABLE login_attempts IN ACCESS EXCLUSIVE MODE")
            for one in sockets:
                one.sendall(request)
            yield sockets
        for one in sockets:  # until each has its answer
            while one.recv(65536):
                pass


def test_a_flood_of_logins_does_not_hold_up_the_kill_switch(victim: Api) -> None:
    hand = victim.as_("operator")
    with flood(victim, 20):
        assert hand.post("/safety/stop", json={"reason": "a flood"}, timeout=3).json()["stopped"]


def test_logins_beyond_the_queue_are_refused_at_once(victim: Api) -> None:
    with flood(victim, AT_ONCE + WAITING + 5) as sockets:
        answered, _, _ = select.select(sockets, [], [], 10)
        answer = HTTPResponse(answered[0])
        answer.begin()
        assert (answer.status, json.load(answer)["code"]) == (429, "logins_busy")


def test_many_addresses_share_the_accounts_limit_and_one_subscriber_is_one_address(victim: Api) -> None:
    with victim.database.begin() as conn:
        now = victim.clock.now()
        for number in range(PER_ACCOUNT):
            assert attempts.count(conn, Attempt(ADA["email"], f"10.0.0.{number}"), now=now) is None
        assert attempts.count(conn, Attempt(ADA["email"], "10.0.0.99"), now=now) is not None
        for number in range(PER_ADDRESS):
            address = f"2001:db8:1:2::{number:x}"
            assert attempts.count(conn, Attempt(f"user{number}@example.org", address), now=now) is None
        assert attempts.count(conn, Attempt("one-more@example.org", "2001:db8:1:2:ffff::1"), now=now) is not None
        assert attempts.count(conn, Attempt("one-more@example.org", "2001:db8:1:3::1"), now=now) is None


def test_one_address_locks_out_no_more_people_than_it_has_attempts_for(victim: Api) -> None:
    with victim.database.begin() as conn:
        now = victim.clock.now()
        for number in range(10 * PER_ADDRESS):
            attempts.count(conn, Attempt(f"user{number // (PER_ACCOUNT + 1)}@example.org", "10.0.0.1"), now=now)
        keys = conn.exec_driver_sql("SELECT key FROM login_attempts WHERE count > 10 ORDER BY key").scalars().all()
        counted = conn.exec_driver_sql("SELECT count(*) FROM login_attempts").scalar_one()
    assert keys == ["account:user0@example.org", "account:user1@example.org", "address:10.0.0.1"]
    assert counted == 6  # both addresses, ada, and three people
    assert victim.audit_kinds().count("login:limited") == 3


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_network_is_what_one_subscriber_holds(address: str, network: str) -> None:
    assert network_of(address) == network


def test_counters_that_ran_out_are_forgotten(victim: Api) -> None:
    with victim.database.begin() as conn:
        for number in range(50):
            attempts.count(conn, Attempt(f"user{number}@example.org", "10.0.0.1"), now=victim.clock.now())
    victim.clock.advance(60 * 60)
    with victim.database.begin() as conn:
        attempts.count(conn, Attempt("last@example.org", "10.0.0.1"), now=victim.clock.now())
        left = conn.exec_driver_sql("SELECT count(*) FROM login_attempts").scalar_one()
    assert left == 2


def test_a_huge_password_is_refused_before_it_is_hashed(victim: Api) -> None:
    body = {"email": ADA["email"], "password": "x" * 10_000}
    problem(victim.client().post("/auth/login", json=body), 422, "body_invalid")
    problem(victim.client().post("/auth/login", json=body | {"password": "x" * 100_000}), 422, "json_too_large")


def test_a_password_is_never_printed() -> None:
    assert PASSWORD not in repr(Login.model_validate(ADA))
