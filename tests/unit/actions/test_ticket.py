"""The ticket's own rules: one canonical form, one MAC, one decision bound to one action."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.actions.support_ticket import ACTION, KEYS, NOW, decision, new_signing_key

from aegis.actions.refusals import Refusal, Refused
from aegis.actions.ticket import (
    action_digest,
    canonical_body,
    load_canonical,
    parse_body,
    read_signature,
    sign_request,
    verify_binding,
    verify_decision,
    verify_mac,
    verify_time,
)
from aegis.kit.strict_json import canonical

NONCE = "n" * 32
BODY = canonical_body(ACTION)


def signed(body: bytes = BODY, decided: str = "") -> list[tuple[str, str]]:
    headers = sign_request(KEYS, method="POST", path="/v1/actions", body=body, decision=decided, now=NOW, nonce=NONCE)
    return list(headers.items())


def test_the_canonical_body_and_its_digest_never_change_their_form() -> None:
    assert BODY == (
        b'{"action":"scale_deployment","generation":4,"id":"rem_01j9zq3v8k5m2n7p4r6s8t0v2w","kind":"Deployment",'
        b'"name":"cart","namespace":"shop","params":{"replicas":5},"requested_by":"aegis",'
        b'"uid":"3f0c8a52-6a9e-4a1d-9a8e-0d1f5c9b7e11","v":1}'
    )
    assert action_digest(BODY) == "a48a43cd7f028e22d526e195e8e191ba8a37a1ad5e4fbf5765897fb2d07b6028"


def test_the_mac_of_a_known_request_never_changes() -> None:
    assert dict(signed())["Aegis-Signature"] == "2982dcf8058446552a69ab1e6cffd379f3e00cbc06f7bfff2f14a3e46ab367d4"


def test_a_body_reads_back_as_the_action_it_was_made_from() -> None:
    assert parse_body(BODY) == ACTION


def test_a_signed_request_verifies() -> None:
    signature = read_signature(signed())
    verify_mac(KEYS, signature, method="POST", path="/v1/actions", body=BODY)
    verify_time(signature, NOW + timedelta(seconds=30))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/actions", BODY),
        ("POST", "/v1/plan", BODY),
        ("POST", "/v1/actions?x=1", BODY),
        ("POST", "/v1/actions", b"{}"),
    ],
)
def test_method_path_query_and_body_are_all_signed(method: str, path: str, body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        verify_mac(KEYS, read_signature(signed()), method=method, path=path, body=body)
    assert refused.value.refusal is Refusal.BAD_SIGNATURE


def test_an_unknown_key_id_is_answered_like_a_wrong_mac() -> None:
    headers = [(name, "k9" if name == "Aegis-Key-Id" else value) for name, value in signed()]
    with pytest.raises(Refused) as unknown:
        verify_mac(KEYS, read_signature(headers), method="POST", path="/v1/actions", body=BODY)
    with pytest.raises(Refused) as wrong:
        verify_mac(KEYS, read_signature(signed()), method="POST", path="/v1/actions", body=b"{}")
    assert str(unknown.value) == str(wrong.value)


def test_a_repeated_signed_header_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        read_signature([*signed(), ("aegis-nonce", NONCE)])
    assert refused.value.refusal is Refusal.HEADER_MALFORMED


@pytest.mark.parametrize("seconds", [-31, 31, 86_400])
def test_a_request_signed_more_than_thirty_seconds_away_is_refused(seconds: int) -> None:
    with pytest.raises(Refused) as refused:
        verify_time(read_signature(signed()), NOW + timedelta(seconds=seconds))
    assert refused.value.refusal is Refusal.CLOCK_SKEW


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_bytes_are_read_only_when_they_are_the_canonical_form_of_what_they_say(document: object) -> None:
    loose = json.dumps({"document": document}, indent=1).encode()
    with pytest.raises(Refused):
        load_canonical(loose)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"v": 2}, Refusal.BAD_BODY),
        ({"v": True}, Refusal.BAD_BODY),
        ({"id": "rem_1"}, Refusal.BAD_BODY),
        ({"generation": -1}, Refusal.BAD_BODY),
        ({"generation": True}, Refusal.BAD_BODY),
        ({"name": "../secret"}, Refusal.BAD_BODY),
        ({"extra": 1}, Refusal.BAD_BODY),
        ({"action": "delete_namespace"}, Refusal.UNKNOWN_ACTION),
        ({"kind": "Pod"}, Refusal.WRONG_TARGET_KIND),
        ({"params": {"replicas": 0}}, Refusal.BAD_PARAMS),
        ({"params": {"replicas": "5"}}, Refusal.BAD_PARAMS),
        ({"params": {"replicas": True}}, Refusal.BAD_PARAMS),
        ({"params": {"replicas": 5, "force": True}}, Refusal.BAD_PARAMS),
        ({"params": {}}, Refusal.BAD_PARAMS),
        ({"params": []}, Refusal.BAD_BODY),
    ],
)
def test_a_body_that_breaks_one_rule_is_refused_by_that_rule(change: dict[str, object], code: Refusal) -> None:
    with pytest.raises(Refused) as refused:
        parse_body(canonical(json.loads(BODY) | change))
    assert refused.value.refusal is code


def test_a_good_decision_reads_back_with_everything_it_binds() -> None:
    key = new_signing_key()
    found = verify_decision(key.public(), decision(key), NOW)
    assert (found.act, found.requester, found.epoch, found.intent) == (action_digest(BODY), "aegis", 3, 17)
    verify_binding(found, BODY, ACTION)


def test_a_decision_ends_after_sixty_seconds() -> None:
    key = new_signing_key()
    with pytest.raises(Refused) as refused:
        verify_decision(key.public(), decision(key), NOW + timedelta(seconds=60))
    assert refused.value.refusal is Refusal.DECISION_EXPIRED


@pytest.mark.parametrize(
    ("approvers", "mode", "code"),
    [
        (("aegis",), "auto", Refusal.SELF_APPROVAL),
        (("ana", "ana"), "approve", Refusal.APPROVAL_MISSING),
        ((), "approve", Refusal.APPROVAL_MISSING),
    ],
)
def test_people_are_counted_once_and_never_for_themselves(approvers: tuple[str, ...], mode: str, code: Refusal) -> None:
    key = new_signing_key()
    found = verify_decision(key.public(), decision(key, approvers=approvers, mode=mode), NOW)
    with pytest.raises(Refused) as refused:
        verify_binding(found, BODY, ACTION)
    assert refused.value.refusal is code
