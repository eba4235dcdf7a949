"""Deny by default: every route of the app declares who may, and one that does not cannot be built."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.unit.api.support_app import app_without_database, routes_of

from aegis.api.access import needs, public
from aegis.api.route import Route
from aegis.identity.permissions import PERMISSIONS

PUBLIC = {
    "/api/v1/auth/state",
    "/api/v1/auth/bootstrap",
    "/api/v1/auth/login",
    "/api/v1/auth/logout",
    "/api/v1/auth/tokens",
    "/api/v1/health",
    "/api/v1/health/ping",
    "/api/v1/openapi.json",
    "/.well-known/authzen-configuration",
    "/health/ping",
    "/metrics",
    "/api",
    "/api/{path:path}",
    "/assets/{path:path}",
    "/{path:path}",
}
DECLARED = {
    "GET /api/v1/users": "users:write",
    "POST /api/v1/users": "users:write",
    "PUT /api/v1/users/{email}/roles": "users:write",
    "PUT /api/v1/users/{email}/disabled": "users:write",
    "GET /api/v1/state": "state:read",
    "POST /api/v1/safety/stop": "safety:stop",
    "POST /api/v1/safety/resume": "safety:write",
    "PUT /api/v1/safety/mode": "safety:write",
    "GET /api/v1/incidents": "incidents:read",
    "GET /api/v1/incidents/{incident_id}": "incidents:read",
    "GET /api/v1/incidents/{incident_id}/series": "incidents:read",
    "GET /api/v1/remediations": "remediations:read",
    "GET /api/v1/remediations/{remediation_id}": "remediations:read",
    "POST /api/v1/remediations": "remediations:request",
    "GET /api/v1/approvals": "remediations:read",
    "POST /api/v1/remediations/{remediation_id}/approve": "approvals:write",
    "POST /api/v1/remediations/{remediation_id}/reject": "approvals:write",
    "GET /api/v1/why": "incidents:read",
    "POST /api/v1/alerts/alertmanager": "alerts:write",
    "GET /api/v1/alerts": "alerts:read",
    "GET /api/v1/audit": "audit:read",
    "GET /api/v1/audit/export": "audit:read",
    "GET /api/v1/audit/checkpoints": "audit:read",
    "GET /api/v1/audit/key": "audit:read",
    "GET /api/v1/audit/{position}": "audit:read",
    "GET /api/v1/events": "state:read",
    "GET /api/v1/policies": "policies:read",
    "POST /api/v1/policies": "policies:write",
    "GET /api/v1/policies/{policy_id}": "policies:read",
    "PUT /api/v1/policies/{policy_id}": "policies:write",
    "DELETE /api/v1/policies/{policy_id}": "policies:write",
    "GET /api/v1/policies/{policy_id}/versions": "policies:read",
    "GET /api/v1/policies/{policy_id}/versions/{number}": "policies:read",
    "POST /api/v1/policies/{policy_id}/restore": "policies:write",
    "POST /api/v1/policies/{policy_id}/activate": "policies:write",
    "POST /api/v1/policies/{policy_id}/disable": "policies:write",
    "POST /api/v1/policies/validate": "policies:read",
    "GET /api/v1/policies/schema": "policies:read",
    "GET /api/v1/policies/set": "policies:read",
    "PUT /api/v1/policies/set": "policies:write",
    "POST /api/v1/policies/simulate": "policies:audit",
    "POST /api/v1/policies/diff": "policies:read",
    "POST /api/v1/policies/why-not": "policies:evaluate",
    "GET /api/v1/policies/audit": "policies:audit",
    "GET /api/v1/policies/audit/{number}/why-not": "policies:audit",
    "POST /api/v1/policies/backtests": "policies:audit",
    "GET /api/v1/policies/backtests/{job_id}": "policies:audit",
    "DELETE /api/v1/policies/backtests/{job_id}": "policies:audit",
    "POST /api/v1/policies/evaluate": "policies:evaluate",
    "POST /api/v1/policies/evaluate/batch": "policies:evaluate",
    "POST /access/v1/evaluation": "policies:evaluate",
    "POST /access/v1/evaluations": "policies:evaluate",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return app_without_database(tmp_path_factory.mktemp("static"))


def test_every_route_declares_the_permission_it_was_agreed_to_need(app: FastAPI) -> None:
    guarded = {
        f"{method} {route.path}": route.access.permission
        for route in routes_of(app)
        for method in route.methods or ()
        if route.access.permission is not None
    }
    assert guarded == DECLARED


def test_nothing_else_is_public(app: FastAPI) -> None:
    assert {route.path for route in routes_of(app) if route.access.permission is None} == PUBLIC


def test_every_permission_is_needed_somewhere() -> None:
    assert set(DECLARED.values()) == set(PERMISSIONS)


def test_a_route_without_a_declaration_cannot_be_built() -> None:
    app = FastAPI()
    app.router.route_class = Route
    with pytest.raises(RuntimeError, match="declares one permission"):
        app.get("/secret")(str)
    with pytest.raises(RuntimeError, match="declares one permission"):
        app.get("/secret", dependencies=[public(), needs("audit:read")])(str)


def test_the_contract_of_the_api_is_described_with_its_bodies(app: FastAPI, tmp_path: Path) -> None:
    described = app.openapi()
    assert set(described["paths"]) == {path.partition(" ")[2] for path in DECLARED} | {
        path for path in PUBLIC if path.startswith("/api/v1/") and path != "/api/v1/openapi.json"
    }
    approve = described["paths"]["/api/v1/remediations/{remediation_id}/approve"]["post"]
    assert approve["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Approve")
    assert "application/problem+json" in approve["responses"]["4XX"]["content"]
