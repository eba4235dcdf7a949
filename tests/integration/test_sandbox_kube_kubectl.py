"""The simulated cluster as the real kubectl sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.support_cluster import ServedCluster, deployment, served_cluster

pytestmark = pytest.mark.integration


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedCluster]:
    with served_cluster(tmp_path) as found:
        found.cluster.create("Deployment", deployment("cart"), "shop")
        found.cluster.step()
        found.settle(10)
        yield found


def test_get_shows_the_columns_people_know(served: ServedCluster) -> None:
    table = served.kubectl("get", "deploy").split()
    assert table[:8] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "cart", "2/2", "2"]
    pods = served.kubectl("get", "pods", "-o", "wide", "-l", "app=cart")
    assert pods.count("Running") == 2
    assert "node-" in pods
    assert served.kubectl("get", "nodes").count("Ready") == 3
    assert "No resources found" in served.try_kubectl("get", "pods", "-l", "app=none").stderr


def test_describe_tells_replicas_conditions_and_events(served: ServedCluster) -> None:
    text = served.kubectl("describe", "deploy", "cart")
    assert "2 desired | 2 updated | 2 total | 2 available" in text
    assert "ScalingReplicaSet" in text
    pod = served.cluster.list("Pod", "shop")[0]["metadata"]["name"]
    assert "Controlled By:  ReplicaSet/cart-" in served.kubectl("describe", "pod", pod)


def test_scale_changes_the_number_of_pods(served: ServedCluster) -> None:
    served.kubectl("scale", "deploy/cart", "--replicas=5")
    served.settle(15)
    assert served.kubectl("get", "pods").count("1/1") == 5


def test_a_rollout_has_status_history_and_undo(served: ServedCluster) -> None:
    served.kubectl("set", "image", "deploy/cart", "main=shop/cart:2.0")
    served.settle()
    assert "successfully rolled out" in served.kubectl("rollout", "status", "deploy/cart", "--timeout=5s")
    assert [line.split()[0] for line in served.kubectl("rollout", "history", "deploy/cart").splitlines()[2:4]] == [
        "1",
        "2",
    ]
    served.kubectl("rollout", "undo", "deploy/cart")
    served.settle()
    image = served.kubectl("get", "deploy", "cart", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert image == "shop/cart:1.0"
    annotations = served.cluster.get("Deployment", "cart", "shop")["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "3"


def test_a_restart_replaces_every_pod_and_never_drops_below_what_is_allowed(served: ServedCluster) -> None:
    before = {pod["metadata"]["name"] for pod in served.cluster.list("Pod", "shop")}
    served.kubectl("rollout", "restart", "deploy/cart")
    for _ in range(20):
        served.settle(5)
        assert served.cluster.get("Deployment", "cart", "shop")["status"]["availableReplicas"] >= 2
    assert before.isdisjoint(pod["metadata"]["name"] for pod in served.cluster.list("Pod", "shop"))


def test_a_deleted_pod_comes_back_under_another_name(served: ServedCluster) -> None:
    name = served.cluster.list("Pod", "shop")[0]["metadata"]["name"]
    served.kubectl("delete", "pod", name)
    served.settle(10)
    names = [pod["metadata"]["name"] for pod in served.cluster.list("Pod", "shop")]
    assert len(names) == 2
    assert name not in names


def test_apply_works_on_both_sides_and_a_foreign_field_is_a_conflict(served: ServedCluster, tmp_path: Path) -> None:
    manifest = tmp_path / "search.json"
    document = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment("search")}
    manifest.write_text(json.dumps(document))
    served.kubectl("apply", "-f", str(manifest))
    served.kubectl("apply", "--server-side", "-f", str(manifest))
    document["spec"]["replicas"] = 4
    manifest.write_text(json.dumps(document))
    refused = served.try_kubectl("apply", "--server-side", "-f", str(manifest))
    assert "conflict with" in refused.stderr
    served.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(manifest))
    assert served.cluster.get("Deployment", "search", "shop")["spec"]["replicas"] == 4


def test_a_watch_sees_changes_as_they_happen(served: ServedCluster) -> None:
    with served.start_kubectl("get", "pods", "-w", "--no-headers") as watching:
        assert watching.stdout is not None
        first = [watching.stdout.readline() for _ in range(2)]
        assert all("Running" in line for line in first)
        served.kubectl("delete", "pod", first[0].split()[0], "--wait=false")
        served.settle(10)
        seen = [watching.stdout.readline() for _ in range(3)]
        watching.terminate()
    assert len({line.split()[0] for line in first + seen}) >= 3


def test_what_is_not_there_or_not_allowed_is_said_as_a_real_server_says_it(served: ServedCluster) -> None:
    assert 'deployments.apps "nope" not found' in served.try_kubectl("get", "deploy", "nope").stderr
    token = served.try_kubectl("get", "pods", "-n", "other", "--token=limited-token").stderr
    assert 'User "limited" cannot list resource "pods"' in token
    assert served.try_kubectl("get", "pods", "--token=wrong").returncode != 0


def test_a_dry_run_changes_nothing_and_is_marked(served: ServedCluster) -> None:
    served.kubectl("scale", "deploy/cart", "--replicas=9", "--dry-run=server")
    assert served.cluster.get("Deployment", "cart", "shop")["spec"]["replicas"] == 2
    assert [effect.dry_run for effect in served.cluster.effects] == [True]


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", '{"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "shop/cart:2.0"}]}}}}'),
        ("merge", '{"spec": {"replicas": 3}}'),
        ("json", '[{"op": "replace", "path": "/spec/replicas", "value": 3}]'),
    ],
)
def test_each_kind_of_patch_is_taken(served: ServedCluster, kind: str, patch: str) -> None:
    assert "patched" in served.kubectl("patch", "deploy", "cart", f"--type={kind}", "-p", patch)
    assert "no change" in served.kubectl("patch", "deploy", "cart", f"--type={kind}", "-p", patch)


def test_a_paused_rollout_waits_until_it_is_resumed(served: ServedCluster) -> None:
    served.kubectl("rollout", "pause", "deploy/cart")
    served.kubectl("set", "image", "deploy/cart", "main=shop/cart:2.0")
    served.settle(20)
    assert served.kubectl("get", "rs", "--no-headers").count("\n") == 1
    served.kubectl("rollout", "resume", "deploy/cart")
    served.settle(30)
    assert "successfully rolled out" in served.kubectl("rollout", "status", "deploy/cart", "--timeout=5s")


def test_what_may_be_done_and_what_there_is_can_be_asked(served: ServedCluster) -> None:
    assert served.kubectl("auth", "can-i", "patch", "deployments").strip() == "yes"
    refused = served.try_kubectl("auth", "can-i", "list", "pods", "-n", "other", "--token=limited-token")
    assert refused.stdout.strip() == "no"
    assert "deployments" in served.kubectl("api-resources")
    assert "ScalingReplicaSet" in served.kubectl("get", "events")
    assert served.kubectl("wait", "--for=condition=Available", "deploy/cart", "--timeout=5s").startswith("deployment")


def test_a_lost_node_and_its_pods_are_shown_as_such(served: ServedCluster) -> None:
    pod = served.cluster.list("Pod", "shop")[0]
    served.cluster.set_node_ready(pod["spec"]["nodeName"], ready=False)
    served.settle(5)
    assert served.kubectl("get", "nodes").count("NotReady") == 1
    ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    assert served.kubectl("get", "pod", pod["metadata"]["name"], "-o", ready) == "False"
