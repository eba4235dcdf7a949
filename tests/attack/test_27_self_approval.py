"""Attack 27: approving one's own request by every path, too late, after a rejection, twice, or for another plan.

A path of its own: an alert that one sends oneself makes Aegis ask in one's place.
"""

from __future__ import annotations

import httpx2
import pytest
from tests.integration.support_api import DIGEST, PASSWORD, TOKEN, Api, api, problem

from aegis.identity.permissions import ROLES
from aegis.storage import alerts, approvals, users
from aegis.storage.incidents import Incident
from aegis.storage.remediations import Remediation

__all__ = ["api"]
pytestmark = pytest.mark.integration
EVE = "eve@example.org"


def say(client: httpx2.Client, item: Remediation, digest: str = DIGEST) -> httpx2.Response:
    return client.post(f"/remediations/{item.id}/approve", json={"plan_digest": digest})


def given(api: Api, item: Remediation) -> int:
    with api.database.begin() as conn:
        return len(approvals.of(conn, item.id))


@pytest.fixture
def eves(api: Api) -> Remediation:
    """What somebody with every role asked for by hand, planned and waiting."""
    api.as_(*ROLES, email=EVE)
    return api.waiting(by=EVE, roles=list(ROLES))


def test_nobody_approves_their_own_request_whatever_their_roles(api: Api, eves: Remediation) -> None:
    refused = say(api.as_(*ROLES, email=EVE), eves)
    problem(refused, 403, "self_approval")
    assert given(api, eves) == 0
    assert api.audit_kinds(eves.id)[-1] == "approval:refused"


def test_another_token_and_another_spelling_are_still_the_same_person(api: Api) -> None:
    browser = api.client(Origin=api.url)
    browser.post("/auth/bootstrap", json={"email": "Eve@Example.org", "password": PASSWORD, "token": TOKEN})
    item = api.waiting(by=EVE, roles=list(ROLES))
    for spelling in ("EVE@EXAMPLE.ORG", "eve@example.org"):
        assert browser.post("/auth/login", json={"email": spelling, "password": PASSWORD}).is_success
        problem(say(browser, item), 403, "self_approval")
        body = {"email": spelling, "password": PASSWORD, "name": "another"}
        token = api.client().post("/auth/tokens", json=body).json()["token"]
        problem(say(api.client(token), item), 403, "self_approval")
    assert given(api, item) == 0


def tell(api: Api, who: httpx2.Client, incident: Incident, **more: str) -> None:
    """Somebody sends an alert about the incident's workload, and the loop looks at it."""
    _, namespace, name = incident.entity.split("/")
    labels = {"alertname": "HighErrorRate", "namespace": namespace, "deployment": name}
    alert = {"status": "firing", "labels": labels, "startsAt": "2026-03-01T11:58:00Z"} | more
    assert who.post("/alerts/alertmanager", json={"version": "4", "alerts": [alert]}).status_code == 202
    with api.database.begin() as conn:
        heard = alerts.unsensed(conn)[0]
        alerts.sensed(conn, heard, entity=incident.entity, incident_id=incident.id, now=api.clock.now())


def test_whoever_sent_the_alert_does_not_approve_what_came_of_it(api: Api) -> None:
    incident, eve = api.incident(), api.as_(*ROLES, email=EVE)
    tell(api, eve, incident)
    item = api.waiting(incident)
    problem(say(eve, item), 403, "self_approval")
    assert given(api, item) == 0
    assert say(api.as_("approver"), item).is_success


def test_an_alert_is_not_moved_away_from_what_it_led_to(api: Api) -> None:
    incident, other, eve = api.incident(), api.incident("search"), api.as_(*ROLES, email=EVE)
    item = api.waiting(incident)
    for about in (incident, other):
        tell(api, eve, about, fingerprint="0123456789abcdef")
    problem(say(eve, item), 403, "self_approval")
    assert given(api, item) == 0


def test_a_requester_cannot_name_somebody_else_as_the_one_who_asked(api: Api) -> None:
    target = {"kind": "Deployment", "namespace": "shop", "name": "cart"}
    body = {"action": "restart_deployment", "target": target, "params": {}, "reason": "mine"}
    for field in ("requested_by", "requester_roles", "by_hand", "id", "workload", "plan_digest"):
        answer = api.as_(*ROLES, email=EVE).post("/remediations", json=body | {field: "mallory@example.org"})
        assert problem(answer, 422, "body_invalid")["field"] == f"/{field}"
    made = api.as_(*ROLES, email=EVE).post("/remediations", json=body).json()
    assert made["requested_by"] == EVE


def test_an_approval_cannot_be_given_in_somebody_elses_name(api: Api, eves: Remediation) -> None:
    body = {"plan_digest": DIGEST, "by": "approver@example.org"}
    answer = api.as_(*ROLES, email=EVE).post(f"/remediations/{eves.id}/approve", json=body)
    assert problem(answer, 422, "body_invalid")["field"] == "/by"


def test_taking_ones_own_request_back_is_allowed(api: Api, eves: Remediation) -> None:
    body = {"plan_digest": DIGEST, "reason": "no longer needed"}
    assert api.as_(*ROLES, email=EVE).post(f"/remediations/{eves.id}/reject", json=body).is_success


def test_late_double_rejected_and_foreign_approvals_do_not_count(api: Api, eves: Remediation) -> None:
    approver, second = api.as_("approver"), api.as_("approver", email="second@example.org")
    problem(say(approver, eves, "e" * 64), 409, "plan_changed")
    rejection = {"plan_digest": DIGEST, "reason": "no"}
    assert second.post(f"/remediations/{eves.id}/reject", json=rejection).is_success
    problem(say(approver, eves), 409, "already_decided")
    problem(say(second, eves), 409, "already_decided")
    late = api.waiting(workload="deployment/shop/late")
    api.clock.advance(1800)
    problem(say(approver, late), 410, "approval_expired")
    assert (given(api, eves), given(api, late)) == (1, 0)


def test_a_role_lost_while_the_request_is_on_its_way_does_not_count(api: Api, eves: Remediation) -> None:
    approver = api.as_("approver")
    api.as_("admin")
    with api.database.begin() as conn:
        users.set_roles(conn, "approver@example.org", ["viewer"], by="t", now=api.clock.now())
    problem(say(approver, eves), 403, "permission_denied")
    assert given(api, eves) == 0
