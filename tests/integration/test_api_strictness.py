"""What every request must be and every answer carries: one meaning per body, known parameters, headers, request ids."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
from tests.integration.support_api import Api, problem, running_api, shared_api

from aegis.storage.embedded import EmbeddedPostgres

__all__ = ["shared_api"]
pytestmark = pytest.mark.integration
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b'{"reason":"a","reason":"b"}', "json_duplicate_key", "/reason"),
        (b'{"reason":"a","re\\u0061son":"b"}', "json_duplicate_key", "/reason"),
        (b'{"reason":NaN}', "json_not_a_number", None),
        (b'{"reason":1e400}', "json_number_range", None),
        (b'{"reason":-0}', "json_negative_zero", None),
        (b'{"reason":9007199254740993}', "json_number_range", None),
        (b'\xef\xbb\xbf{"reason":"a"}', "json_bom", None),
        (b'{"reason":"\\ud800"}', "json_lone_surrogate", None),
        (b'{"reason":"a\\u0000b"}', "json_nul", "/reason"),
        (b'{"reason":"\xff"}', "json_not_utf8", None),
        (b'{"reason":"a"} trailing', "json_syntax", None),
        (b'{"reason":' + b"[" * 40 + b"]" * 40 + b"}", "json_too_deep", None),
        (b"[]", "body_invalid", "/"),
        (b"null", "body_invalid", "/"),
        (b"", "body_invalid", "/"),
        (b"{}", "body_invalid", "/reason"),
        (b'{"reason":""}', "body_invalid", "/reason"),
        (b'{"reason":7}', "body_invalid", "/reason"),
        (b'{"reason":"a","Reason":"b"}', "body_invalid", "/Reason"),
        (b'{"reason":"a","a/b~c":1}', "body_invalid", "/a~1b~0c"),
        (json.dumps({"reason": "x" * 501}).encode(), "body_invalid", "/reason"),
    ],
)
def test_a_body_has_one_meaning_or_none(shared_api: Api, body: bytes, code: str, field: str | None) -> None:
    answer = shared_api.everybody().post("/safety/stop", content=body, headers=JSON)
    assert problem(answer, 422, code).get("field") == field
    assert shared_api.everybody().get("/state").json()["stopped"] is False


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_of_another_type_is_refused(shared_api: Api, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = shared_api.everybody().post("/safety/stop", content=b'{"reason":"a"}', headers=headers)
    problem(answer, 422, "body_invalid")


@pytest.mark.parametrize(
    ("path", "code", "field"),
    [
        ("/incidents?stat=open", "unknown_parameter", "/stat"),
        ("/incidents?state=open&state=all", "repeated_parameter", "/state"),
        ("/incidents?state=everything", "query_invalid", "/state"),
        ("/incidents?limit=0", "query_invalid", "/limit"),
        ("/incidents?limit=201", "query_invalid", "/limit"),
        ("/incidents?limit=ten", "query_invalid", "/limit"),
        ("/incidents?cursor=nonsense", "bad_cursor", "/cursor"),
        ("/incidents?namespace=a%00b", "query_invalid", "/namespace"),
        ("/remediations?state=finished", "query_invalid", "/state"),
        ("/alerts?status=loud", "query_invalid", "/status"),
        ("/audit?before=-1", "query_invalid", "/before"),
        ("/audit/minus-one", "query_invalid", "/position"),
        ("/state?verbose=1", "unknown_parameter", "/verbose"),
        ("/why", "query_invalid", "/subject"),
        ("/why?subject=cart", "bad_subject", "/subject"),
        ("/why?subject=pod/shop/cart%0A", "query_invalid", "/subject"),
    ],
)
def test_a_query_that_is_not_understood_is_refused(shared_api: Api, path: str, code: str, field: str) -> None:
    assert problem(shared_api.everybody().get(path), 422, code)["field"] == field


@pytest.mark.parametrize(
    "path", ["/api/v1/state", "/api/v1/nothing", "/health/ping", "/metrics", "/", "/assets/none.js", "/api/v1/health"]
)
def test_every_answer_carries_the_security_headers(shared_api: Api, path: str) -> None:
    answer = httpx2.get(shared_api.url + path, trust_env=False)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self' 'nonce-")
    assert policy.endswith("base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"].startswith("req_")
    assert "server" not in answer.headers


def test_each_answer_has_an_id_of_its_own(shared_api: Api) -> None:
    client = shared_api.client(**{"X-Request-Id": "mine\n"[:4]})
    ids = {client.get("/health/ping").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5
    assert "mine" not in ids


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v2/state", "/api/v1/incidents/a/b/c", "/api/v1/../v1/nothing"])
def test_an_unknown_api_path_is_a_problem_and_never_a_page(shared_api: Api, method: str, path: str) -> None:
    answer = httpx2.request(method, shared_api.url + path, headers={"Accept": "text/html"}, trust_env=False)
    problem(answer, 404, "no_such_route")


def test_a_known_path_with_another_method_is_not_found(shared_api: Api) -> None:
    problem(shared_api.everybody().delete("/incidents"), 404, "no_such_route")


def test_huge_compressed_and_long_public_bodies_are_refused(shared_api: Api) -> None:
    client = shared_api.everybody()
    huge = client.post("/safety/stop", content=b"x" * ((1 << 20) + 1), headers=JSON)
    problem(huge, 413, "body_too_large")
    packed = client.post("/safety/stop", content=b"x", headers=JSON | {"Content-Encoding": "gzip"})
    problem(packed, 415, "body_compressed")
    long = json.dumps({"email": "ada@example.org", "password": "x" * 17_000})
    problem(client.post("/auth/login", content=long.encode(), headers=JSON), 422, "json_too_large")


def test_what_was_sent_never_comes_back_in_a_problem(shared_api: Api) -> None:
    body = {"email": "ada@example.org", "password": "s3cret" * 30}
    answer = shared_api.client().post("/auth/login", json=body)
    assert problem(answer, 422, "body_invalid")["field"] == "/password"
    assert "s3cret" not in answer.text


def test_metrics_count_by_route_and_never_by_path(shared_api: Api) -> None:
    shared_api.everybody().get("/incidents/inc_01j9zq3v8k5m2n7p4r6s8t0v2w")
    text = httpx2.get(f"{shared_api.url}/metrics", trust_env=False).text
    assert 'aegis_api_requests_total{method="GET",route="/api/v1/incidents/{incident_id}",status="404"}' in text
    assert "aegis_api_request_seconds_bucket" in text
    assert "inc_01j9" not in text


def test_a_database_that_nobody_has_seeded_yet_is_seeded_when_somebody_asks(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with running_api(postgres, tmp_path) as api:
        viewer = api.as_("viewer")
        with api.database.begin() as conn:
            conn.exec_driver_sql("DELETE FROM safety")
        first = problem(viewer.get("/state"), 503, "never_started")
        assert first["hint"]
        assert viewer.get("/state").json()["mode"] == "approve"
