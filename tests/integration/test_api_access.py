"""Policy decides who may call the API: what a document gives or takes away holds from the next request on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.support_api import Api, problem, running_api
from tests.integration.support_policies import put_newer

from aegis.kit.errors import Conflict
from aegis.storage import policies, policy_audit
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.policy_audit import Filters, Logged

pytestmark = pytest.mark.integration


@pytest.fixture
def api(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Api]:
    with running_api(postgres, tmp_path) as made:
        yield made


def save(api: Api, policy_id: str, effect: str = "ALLOW", **changes: Any) -> None:
    document = {
        "apiVersion": "aegis.dev/v1",
        "id": policy_id,
        "effect": effect,
        "principals": {"roles": ["viewer"]},
        "actions": ["audit:read"],
        "resources": ["api/audit/*", "api/audit"],
    } | changes
    with api.database.begin() as conn:
        policies.save(conn, document, by="test", comment="a test", now=api.clock.now())


def recorded(api: Api, **filters: Any) -> list[Logged]:
    with api.database.begin() as conn:
        return policy_audit.page(conn, Filters(source="api", **filters), limit=100)


def test_an_allow_opens_a_route_to_a_role_that_had_it_not(api: Api) -> None:
    viewer = api.as_("viewer")
    problem(viewer.get("/audit"), 403, "permission_denied")
    save(api, "viewers-read-the-record")
    assert viewer.get("/audit").is_success
    problem(viewer.get("/users"), 403, "permission_denied")


def test_a_deny_closes_a_route_to_everybody_it_names_and_is_named_in_the_refusal(api: Api) -> None:
    operator = api.as_("operator")
    save(
        api, "no-hands", "DENY", principals={"roles": ["operator"]}, actions=["safety:stop"], resources=["api/safety/*"]
    )
    refused = problem(operator.post("/safety/stop", json={"reason": "a test"}), 403, "permission_denied")
    assert "policy no-hands denies safety:stop on api/safety/stop" in refused["detail"]
    assert operator.get("/state").is_success


def test_a_grant_on_the_cluster_is_no_grant_on_the_control_plane(api: Api) -> None:
    save(api, "all-of-the-cluster", actions=["*"], resources=["*"])
    problem(api.as_("viewer").get("/audit"), 403, "permission_denied")


def test_an_allow_that_asks_for_what_a_call_cannot_wait_for_is_a_no(api: Api) -> None:
    save(api, "with-a-second-person", obligations=[{"type": "require_approval"}])
    refused = problem(api.as_("viewer").get("/audit"), 403, "permission_denied")
    assert "a call of the API cannot wait for require_approval" in refused["detail"]


def test_every_answer_is_on_record_before_the_route_runs(api: Api) -> None:
    viewer = api.as_("viewer", email="vic@example.org")
    allowed = viewer.get("/state")
    refused = viewer.get("/audit")
    newest, before = recorded(api, principal="vic@example.org")
    assert (before.action, before.resource, before.effect) == ("state:read", "api/state", "allow")
    assert before.policies == ["api-viewer"]
    assert before.request_id == allowed.headers["x-request-id"]
    assert (newest.action, newest.effect, newest.code) == ("audit:read", "deny", "default_deny")
    assert newest.request_id == refused.headers["x-request-id"]


def test_policies_that_nobody_can_read_refuse_everybody_on_record(api: Api) -> None:
    admin = api.as_("admin", email="ada@example.org")
    with api.database.begin() as conn:
        put_newer(conn, now=api.clock.now())
    refused = problem(admin.get("/state"), 403, "permission_denied")
    assert "the policies cannot be read" in refused["detail"]
    assert [one.code for one in recorded(api, principal="ada@example.org")] == ["engine_error"]


def test_what_cannot_be_recorded_is_refused(api: Api) -> None:
    viewer = api.as_("viewer")
    assert viewer.get("/state").is_success
    with api.database.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE policy_audit_logs ADD CONSTRAINT nothing_more CHECK (id < 0) NOT VALID")
    assert viewer.get("/state").status_code >= 500
    with api.database.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE policy_audit_logs DROP CONSTRAINT nothing_more")
    assert viewer.get("/state").is_success


def test_the_page_shows_what_policy_gives(api: Api) -> None:
    viewer = api.as_("viewer")
    assert "audit:read" not in viewer.get("/auth/state").json()["user"]["permissions"]
    save(api, "viewers-read-the-record")
    assert "audit:read" in viewer.get("/auth/state").json()["user"]["permissions"]


def test_a_set_that_would_lock_everybody_out_is_refused(api: Api) -> None:
    with api.database.begin() as conn, pytest.raises(Conflict, match="nobody could change policies"):
        policies.disable(conn, "api-admin", by="test", now=api.clock.now())
    with pytest.raises(Conflict, match="nobody could change policies"):
        save(
            api,
            "locked",
            "DENY",
            principals={"roles": ["admin"]},
            actions=["policies:write"],
            resources=["api/policies/*"],
        )
