"""The wire of the simulated cluster: what clients rely on in watches, preconditions, refusals and discovery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.integration.support_cluster import ServedCluster, deployment, served_cluster

from aegis.sandbox.kube import server

pytestmark = pytest.mark.integration

DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
PODS = "/api/v1/namespaces/shop/pods"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCluster]:
    with served_cluster(tmp_path_factory.mktemp("kube")) as found:
        found.cluster.create("Deployment", deployment("cart"), "shop")
        found.cluster.step()
        found.settle(10)
        yield found


@pytest.fixture(scope="module")
def http(served: ServedCluster) -> Iterator[httpx2.Client]:
    with httpx2.Client(
        base_url=served.url, verify=False, headers={"Authorization": "Bearer admin-token"}, timeout=20.0
    ) as client:
        yield client


def watch(http: httpx2.Client, path: str, **query: str) -> list[dict[str, Any]]:
    """All events until the server ends the watch."""
    answer = http.get(path, params={"watch": "1", "timeoutSeconds": "1"} | query)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def version_of(http: httpx2.Client) -> str:
    return str(http.get(PODS).json()["metadata"]["resourceVersion"])


def test_a_watch_without_a_version_begins_with_everything(http: httpx2.Client) -> None:
    events = watch(http, PODS)
    assert [event["type"] for event in events] == ["ADDED", "ADDED"]
    assert all(event["object"]["kind"] == "Pod" for event in events)


def test_an_idle_watch_gets_bookmarks_when_it_asked_for_them(
    http: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BOOKMARK_SECONDS", 0.2)
    version = version_of(http)
    events = watch(http, PODS, resourceVersion=version, allowWatchBookmarks="true")
    assert {event["type"] for event in events} == {"BOOKMARK"}
    assert {event["object"]["metadata"]["resourceVersion"] for event in events} == {version}
    assert watch(http, PODS, resourceVersion=version) == []


def test_a_selective_watch_sees_objects_come_into_view_and_leave_it(served: ServedCluster, http: httpx2.Client) -> None:
    name = served.cluster.list("Pod", "shop")[0]["metadata"]["name"]
    version = version_of(http)
    for labels in ({"tier": "gold"}, {"tier": None}):
        assert http.patch(
            f"{PODS}/{name}",
            content=json.dumps({"metadata": {"labels": labels}}),
            headers={"Content-Type": "application/merge-patch+json"},
        ).is_success
    events = watch(http, PODS, resourceVersion=version, labelSelector="tier=gold")
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", name),
        ("DELETED", name),
    ]


def test_a_version_that_is_too_old_is_gone(served: ServedCluster, http: httpx2.Client) -> None:
    first = http.get(PODS, params={"limit": "1"}).json()["metadata"]
    served.cluster.patch("Deployment", "cart", {"metadata": {"labels": {"a": "b"}}}, "shop")
    served.cluster.store.compact()
    events = watch(http, PODS, resourceVersion=first["resourceVersion"])
    assert [(event["type"], event["object"]["code"]) for event in events] == [("ERROR", 410)]
    answer = http.get(PODS, params={"limit": "1", "continue": first["continue"]})
    assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": "a in ("},
        {"fieldSelector": "%%"},
        {"watch": "1", "labelSelector": "a in ("},
        {"watch": "1", "resourceVersion": "abc"},
        {"watch": "1", "timeoutSeconds": "soon"},
        {"limit": "-1"},
        {"continue": "garbage"},
    ],
)
def test_a_malformed_question_is_a_400_and_never_an_empty_answer(http: httpx2.Client, query: dict[str, str]) -> None:
    answer = http.get(PODS, params=query)
    assert (answer.status_code, answer.json()["kind"], answer.json()["reason"]) == (400, "Status", "BadRequest")


def test_a_deletion_is_bound_to_the_uid_and_version_it_names(served: ServedCluster, http: httpx2.Client) -> None:
    served.cluster.create("Deployment", deployment("short", replicas=1), "shop")
    live = http.get(f"{DEPLOYMENTS}/short").json()["metadata"]
    for wrong in ({"uid": "someone-else"}, {"resourceVersion": "1"}):
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": wrong}
        answer = http.request("DELETE", f"{DEPLOYMENTS}/short", json=options)
        assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")
    right = {"uid": live["uid"], "resourceVersion": live["resourceVersion"]}
    assert http.request("DELETE", f"{DEPLOYMENTS}/short", json={"preconditions": right}).is_success
    assert http.get(f"{DEPLOYMENTS}/short").status_code == 404


def test_an_eviction_waits_for_the_budget_and_is_bound_to_the_uid(served: ServedCluster, http: httpx2.Client) -> None:
    budget = {"metadata": {"name": "cart"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "cart"}}}}
    served.cluster.create("PodDisruptionBudget", budget, "shop")
    pod = served.cluster.list("Pod", "shop")[0]["metadata"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["name"]}}
    answer = http.post(f"{PODS}/{pod['name']}/eviction", json=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    served.cluster.delete("PodDisruptionBudget", "cart", "shop")
    wrong = body | {"deleteOptions": {"preconditions": {"uid": "someone-else"}}}
    assert http.post(f"{PODS}/{pod['name']}/eviction", json=wrong).status_code == 409
    dry = body | {"deleteOptions": {"dryRun": ["All"]}}
    assert http.post(f"{PODS}/{pod['name']}/eviction", json=dry).status_code == 201
    assert http.get(f"{PODS}/{pod['name']}").is_success
    assert http.post(f"{PODS}/{pod['name']}/eviction", json=body).status_code == 201
    served.settle(10)
    assert http.get(f"{PODS}/{pod['name']}").status_code == 404


MISSHAPEN: list[Any] = [
    None,
    [],
    7,
    "x",
    {"spec": 7},
    {"spec": []},
    {"metadata": []},
    {"metadata": {"labels": "x"}},
    {"metadata": {"annotations": {"a": 5}}},
    {"metadata": {"name": 5}},
    {"spec": {"replicas": "x"}},
    {"spec": {"replicas": True}},
    {"spec": {"replicas": -1}},
    {"spec": {"replicas": 2**40}},
    {"spec": {"template": 7}},
    {"spec": {"template": {"spec": {"containers": ["x"]}}}},
    {"spec": {"template": {"spec": {"containers": [{"name": "main", "resources": {"limits": {"cpu": "lots"}}}]}}}},
    {"spec": {"strategy": {"rollingUpdate": {"maxSurge": "x"}}}},
    {"spec": {"selector": {"matchLabels": "x"}}},
    [{"op": "x"}],
    [{"op": "replace"}],
    [{"op": "replace", "path": "/spec/replicas", "value": "x"}],
    [{"op": "replace", "path": "", "value": 7}],
    [7],
]
PATCHES = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "text/plain",
]


@pytest.mark.parametrize("body", MISSHAPEN, ids=repr)
def test_what_is_misshapen_is_refused_and_changes_nothing(
    served: ServedCluster, http: httpx2.Client, body: Any
) -> None:
    before = served.cluster.get("Deployment", "cart", "shop")["spec"]
    text = json.dumps(body)
    for path in (f"{DEPLOYMENTS}/cart", f"{DEPLOYMENTS}/cart/scale"):
        for media in PATCHES:
            answer = http.patch(path, content=text, headers={"Content-Type": media})
            assert answer.status_code in (200, 400, 409, 422), (path, media)
    assert http.put(f"{DEPLOYMENTS}/cart", content=text).status_code in (400, 409, 422)
    for path in (DEPLOYMENTS, PODS):
        assert http.post(path, content=text).status_code in (400, 422), path
    assert served.cluster.get("Deployment", "cart", "shop")["spec"] == before
    served.cluster.step()


@pytest.mark.parametrize(
    ("token", "path", "status"),
    [
        ("", PODS, 401),
        ("Bearer wrong", PODS, 401),
        ("Basic limited-token", PODS, 401),
        ("Bearer limited-token", PODS, 200),
        ("Bearer limited-token", "/api/v1/namespaces/other/pods", 403),
        ("Bearer limited-token", "/api/v1/pods", 403),
        ("Bearer limited-token", "/api/v1/nodes", 403),
        ("Bearer limited-token", "/api/v1/namespaces/shop", 200),
        ("Bearer limited-token", "/api/v1/namespaces/other", 403),
        ("Bearer admin-token", "/api/v1/secrets", 404),
        ("Bearer admin-token", "/apis/apps/v1beta1/deployments", 404),
    ],
)
def test_a_token_opens_what_it_was_given_for(http: httpx2.Client, token: str, path: str, status: int) -> None:
    assert http.get(path, headers={"Authorization": token}).status_code == status


def test_reviews_say_what_the_token_may(http: httpx2.Client) -> None:
    asked = {"resourceAttributes": {"verb": "patch", "resource": "deployments", "namespace": "other"}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answers = [
        http.post(path, json={"spec": asked}, headers={"Authorization": f"Bearer {token}"}).json()["status"]["allowed"]
        for token in ("admin-token", "limited-token")
    ]
    assert answers == [True, False]


def test_every_group_version_has_resources_and_an_openapi_document(http: httpx2.Client) -> None:
    assert http.get("/version").json()["major"] == "1"
    groups = [one["versions"][0]["groupVersion"] for one in http.get("/apis").json()["groups"]]
    paths = http.get("/openapi/v3").json()["paths"]
    assert set(paths) == {"api/v1", *(f"apis/{group}" for group in groups)}
    for path in paths:
        listed = http.get(f"/{path}").json()
        assert listed["kind"] == "APIResourceList"
        document = http.get(f"/openapi/v3/{path}").json()
        kinds = {one["kind"] for one in listed["resources"] if "/" not in one["name"]}
        assert kinds <= {name.rsplit(".", 1)[1] for name in document["components"]["schemas"]}
    names = {one["name"] for one in http.get("/apis/apps/v1").json()["resources"]}
    assert {"deployments", "deployments/scale", "deployments/status", "replicasets"} <= names


def test_a_status_is_written_through_its_subresource_only(served: ServedCluster, http: httpx2.Client) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    change = json.dumps({"status": {"collisionCount": 7}})
    assert "collisionCount" not in http.patch(f"{DEPLOYMENTS}/cart", content=change, headers=headers).json()["status"]
    answer = http.patch(f"{DEPLOYMENTS}/cart/status", content=change, headers=headers).json()
    assert answer["status"]["collisionCount"] == 7
    assert (
        answer["metadata"]["generation"] == served.cluster.get("Deployment", "cart", "shop")["metadata"]["generation"]
    )


def test_what_was_asked_of_the_cluster_is_remembered_as_it_came(served: ServedCluster, http: httpx2.Client) -> None:
    served.cluster.effects.clear()
    headers = {"Content-Type": "application/merge-patch+json", "User-Agent": "tests/1.0"}
    for query in ("?dryRun=All&fieldManager=me", "?fieldManager=me"):
        http.patch(f"{DEPLOYMENTS}/cart{query}", content='{"spec": {"minReadySeconds": 1}}', headers=headers)
    http.patch(f"{DEPLOYMENTS}/gone", content="{}", headers=headers)
    told = [(one.verb, one.name, one.dry_run, one.changed, one.code) for one in served.cluster.effects]
    assert told == [
        ("patch", "cart", True, False, 200),
        ("patch", "cart", False, True, 200),
        ("patch", "gone", False, False, 404),
    ]
    assert {(one.user, one.field_manager) for one in served.cluster.effects[:2]} == {("admin", "me")}
