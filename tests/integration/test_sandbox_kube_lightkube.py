"""The simulated cluster as a client library sees it: lightkube lists, watches, patches, applies, scales and evicts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, ReplicaSet
from lightkube.resources.core_v1 import Namespace, Node, Pod
from lightkube.types import PatchType
from tests.integration.support_cluster import ServedCluster, deployment, served_cluster

pytestmark = pytest.mark.integration


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedCluster]:
    with served_cluster(tmp_path) as found:
        found.cluster.create("Deployment", deployment("cart"), "shop")
        found.cluster.step()
        found.settle(10)
        yield found


@pytest.fixture
def client(served: ServedCluster) -> Iterator[Any]:
    made = client_of(served)
    yield made
    made._client._client.close()


def client_of(served: ServedCluster) -> Any:
    """A typed client, taken for untyped here: in its models every field may be missing."""
    config = KubeConfig.from_file(str(served.kubeconfig))
    return Client(config=config.get(), namespace="shop", field_manager="tests", trust_env=False)


def test_objects_are_listed_by_labels_and_fields(served: ServedCluster, client: Any) -> None:
    assert [one.metadata.name for one in client.list(Deployment)] == ["cart"]
    assert [one.metadata.name for one in client.list(Node)] == ["node-0", "node-1", "node-2"]
    assert {one.metadata.name for one in client.list(Namespace)} == {"default", "other", "shop"}
    assert len(list(client.list(Pod, labels={"app": "cart"}))) == 2
    assert list(client.list(Pod, labels={"app": "none"})) == []
    assert len(list(client.list(Pod, labels={"app": ["cart", "search"]}))) == 2
    name = next(iter(client.list(Pod))).metadata.name
    assert [one.metadata.name for one in client.list(Pod, fields={"metadata.name": name})] == [name]
    assert len(list(client.list(Pod, fields={"status.phase": "Running"}))) == 2
    assert len(list(client.list(Pod, namespace="*"))) == 2


def test_a_long_list_comes_in_pages(served: ServedCluster, client: Any) -> None:
    served.cluster.patch("Deployment", "cart", {"spec": {"replicas": 7}}, "shop")
    served.settle(10)
    found = [one.metadata.name for one in client.list(Pod, chunk_size=3)]
    assert len(found) == len(set(found)) == 7


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (PatchType.STRATEGIC, {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "cart:2"}]}}}}),
        (PatchType.JSON, [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "cart:2"}]),
        (PatchType.MERGE, {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "cart:2"}]}}}}),
    ],
)
def test_each_kind_of_patch_changes_the_template_and_rolls_it_out(
    served: ServedCluster, client: Any, kind: PatchType, patch: Any
) -> None:
    changed = client.patch(Deployment, "cart", patch, patch_type=kind)
    assert changed.spec.template.spec.containers[0].image == "cart:2"
    assert changed.metadata.generation == 2
    served.settle()
    status = client.get(Deployment, "cart").status
    assert (status.updatedReplicas, status.availableReplicas, status.observedGeneration) == (2, 2, 2)
    assert {pod.spec.containers[0].image for pod in client.list(Pod)} == {"cart:2"}
    revisions = [one.metadata.annotations["deployment.kubernetes.io/revision"] for one in client.list(ReplicaSet)]
    assert sorted(revisions) == ["1", "2"]


def test_a_null_in_a_merge_patch_takes_away_and_a_failed_test_changes_nothing(
    served: ServedCluster, client: Any
) -> None:
    client.patch(Deployment, "cart", {"metadata": {"annotations": {"a": "1", "b": "2"}}}, patch_type=PatchType.MERGE)
    client.patch(Deployment, "cart", {"metadata": {"annotations": {"a": None}}}, patch_type=PatchType.MERGE)
    annotations = client.get(Deployment, "cart").metadata.annotations
    assert "a" not in annotations
    assert annotations["b"] == "2"
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 9},
        {"op": "replace", "path": "/spec/replicas", "value": 1},
    ]
    with pytest.raises(ApiError) as refused:
        client.patch(Deployment, "cart", operations, patch_type=PatchType.JSON)
    assert refused.value.status.code == 422
    assert client.get(Deployment, "cart").spec.replicas == 2


# The typed Deployment insists on a selector and a template, which a part of a configuration has not.
PartialDeployment = create_namespaced_resource("apps", "v1", "Deployment", "deployments")


def applied(**spec: Any) -> Any:
    return PartialDeployment(metadata=ObjectMeta(name="search", namespace="shop"), spec=spec)


LABELS = {"app": "search"}


def template(*names: str) -> dict[str, Any]:
    containers = [{"name": name, "image": f"{name}:1"} for name in names]
    return {"metadata": {"labels": LABELS}, "spec": {"containers": containers}}


def test_applying_again_takes_away_what_is_left_out_unless_somebody_else_wants_it(
    served: ServedCluster, client: Any
) -> None:
    selector = {"matchLabels": LABELS}
    whole = {"replicas": 3, "paused": True, "selector": selector, "template": template("main", "side")}
    client.apply(applied(**whole))
    client.apply(applied(replicas=3), field_manager="scaler", force=True)
    made = client.apply(applied(selector=selector, template=template("main")))
    assert made.spec["replicas"] == 3  # the scaler wants it
    assert "paused" not in made.spec
    assert [one["name"] for one in made.spec["template"]["spec"]["containers"]] == ["main"]
    with pytest.raises(ApiError) as refused:
        client.apply(applied(replicas=5))
    assert refused.value.status.code == 409
    assert 'conflict with "scaler"' in str(refused.value.status.message)
    owners = {(one.manager, one.operation) for one in client.get(Deployment, "search").metadata.managedFields}
    assert {("tests", "Apply"), ("scaler", "Apply")} <= owners


def test_scaling_goes_through_the_subresource_and_back(served: ServedCluster, client: Any) -> None:
    assert client.get(Deployment.Scale, "cart").spec.replicas == 2
    scale = Deployment.Scale(metadata=ObjectMeta(name="cart", namespace="shop"), spec=ScaleSpec(replicas=4))
    assert client.replace(scale).spec.replicas == 4
    served.settle(10)
    assert client.get(Deployment.Scale, "cart").status.replicas == 4
    client.patch(Deployment.Scale, "cart", {"spec": {"replicas": 1}}, patch_type=PatchType.MERGE)
    operations = [{"op": "test", "path": "/spec/replicas", "value": 1}]
    client.patch(Deployment.Scale, "cart", operations, patch_type=PatchType.JSON)
    served.settle(10)
    assert len(list(client.list(Pod))) == 1


def test_a_stale_version_is_a_conflict_and_a_dry_run_is_not_stored(served: ServedCluster, client: Any) -> None:
    stale = client.get(Deployment, "cart")
    client.patch(Deployment, "cart", {"spec": {"replicas": 3}})
    stale.spec.replicas = 5
    with pytest.raises(ApiError) as refused:
        client.replace(stale)
    assert (refused.value.status.code, refused.value.status.reason) == (409, "Conflict")
    assert client.patch(Deployment, "cart", {"spec": {"replicas": 9}}, dry_run=True).spec.replicas == 9
    assert client.get(Deployment, "cart").spec.replicas == 3
    client.delete(Deployment, "cart", dry_run=True)
    assert client.get(Deployment, "cart").spec.replicas == 3


def test_an_eviction_takes_one_pod_and_its_controller_makes_another(served: ServedCluster, client: Any) -> None:
    before = [pod.metadata.name for pod in client.list(Pod)]
    eviction = Pod.Eviction(metadata=ObjectMeta(name=before[0], namespace="shop"))
    client.create(eviction, before[0])
    served.settle(10)
    after = [pod.metadata.name for pod in client.list(Pod)]
    assert before[0] not in after
    assert before[1] in after
    assert len(after) == 2


def test_a_watch_tells_what_happens_from_a_version_on(served: ServedCluster, client: Any) -> None:
    listed = client.list(Pod)
    assert len(list(listed)) == 2
    name = served.cluster.list("Pod", "shop")[0]["metadata"]["name"]
    served.cluster.delete("Pod", name, "shop")
    served.settle(10)
    seen = []
    for kind, pod in client.watch(Pod, resource_version=listed.resourceVersion, server_timeout=5):
        seen.append((kind, pod.metadata.name))
        if kind == "MODIFIED" and pod.status.phase == "Running":
            break
    assert seen[0] == ("DELETED", name)
    assert seen[1][0] == "ADDED"
    assert seen[1][1] != name


def test_a_token_reaches_its_namespaces_only(served: ServedCluster, tmp_path: Path) -> None:
    served.cluster.kubeconfig(
        served.kubeconfig, served.url, user="limited", token="limited-token", authority=authority(served)
    )
    limited = client_of(served)
    assert len(list(limited.list(Pod))) == 2
    for resource, namespace in ((Pod, "other"), (Pod, "*"), (Node, None)):
        with pytest.raises(ApiError) as refused:
            list(limited.list(resource, namespace=namespace))
        assert refused.value.status.code == 403
    limited._client._client.close()


def authority(served: ServedCluster) -> bytes:
    return (served.home / "sandbox-api.crt").read_bytes()
