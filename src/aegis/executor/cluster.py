"""The Kubernetes API as the executor uses it: few reads, one conditional patch, one eviction; the only lightkube.

Handlers and the reconciler call it. It never retries a change: each failure says whether the change is known not to
have been applied (`Rejected`, `Conflicting`, `Throttled`, `Unreachable`) or may have been (`Uncertain`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import msgspec
from lightkube import Client, KubeConfig, SingleConfig
from lightkube.core import resource as lk
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import Generic, create_namespaced_resource
from lightkube.types import PatchType

from aegis.executor.objects import FIELD_MANAGER, Document, Object, Workload
from aegis.kit.errors import Invalid, NotFound, Unavailable

_Deployment: Any = create_namespaced_resource("apps", "v1", "Deployment", "deployments")
_ReplicaSet: Any = create_namespaced_resource("apps", "v1", "ReplicaSet", "replicasets")
_Pod: Any = create_namespaced_resource("", "v1", "Pod", "pods")


class _EvictionResource(lk.NamespacedSubResource, Generic):  # type: ignore[misc]  # as lightkube builds its own
    _api_info = lk.ApiInfo(
        resource=lk.ResourceDef("policy", "v1", "Eviction"),
        parent=lk.ResourceDef("", "v1", "Pod"),
        plural="pods",
        verbs=["post"],
        action="eviction",
    )


_Eviction: Any = _EvictionResource


class ObjectGone(NotFound):
    """The API server has no such object."""


class KnownNotApplied(Unavailable):
    """The change did not happen."""


class Rejected(KnownNotApplied):
    """The API server says no; the same request gets the same answer."""

    retriable = False


class Conflicting(KnownNotApplied):
    """Somebody wrote the object since it was read; read again, then decide."""


class Throttled(KnownNotApplied):
    """The API server asks to wait `seconds`."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__("cluster_throttled", message)
        self.seconds = seconds


class Unreachable(KnownNotApplied):
    """No connection was made."""


class Uncertain(Unavailable):
    """The request was sent and no clear answer came: it may have been applied, or may yet be."""

    retriable = False


_NO_CONNECTION = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
MAX_RETRY_AFTER_SECONDS = 5.0


class KubernetesCluster:
    """One API server, by a kubeconfig file or, without one, by the pod's own service account; `close()` it."""

    def __init__(
        self, kubeconfig: Path | None, *, seconds: float = 10.0, transport: httpx2.BaseTransport | None = None
    ) -> None:
        timeout = httpx2.Timeout(seconds, connect=min(3.0, seconds))
        self._client = Client(
            config=_config(kubeconfig),
            timeout=timeout,
            field_manager=FIELD_MANAGER,
            trust_env=False,
            transport=transport,
        )

    def close(self) -> None:
        self._client.close()

    def deployment(self, namespace: str, name: str) -> Object:
        return Object(dict(self._call(lambda: self._client.get(_Deployment, name, namespace=namespace))))

    def pod(self, namespace: str, name: str) -> Object:
        found = dict(self._call(lambda: self._client.get(_Pod, name, namespace=namespace)))
        return Object({**found, "kind": "Pod"})

    def replica_set(self, namespace: str, name: str) -> Object:
        return Object(dict(self._call(lambda: self._client.get(_ReplicaSet, name, namespace=namespace))))

    def workload(self, namespace: str, name: str) -> Workload:
        """The Deployment with the ReplicaSets it owns and their pods."""
        deployment = self.deployment(namespace, name)
        selector = (deployment.spec.get("selector") or {}).get("matchLabels") or {}
        sets = [item for item in self._list(_ReplicaSet, namespace, selector) if _owned(item, deployment.uid)]
        owners = {item.uid for item in sets}
        pods = [
            item
            for item in self._list(_Pod, namespace, selector)
            if (owner := item.owner("ReplicaSet")) and owner["uid"] in owners
        ]
        return Workload(deployment, tuple(sets), tuple(pods))

    def patch_deployment(self, namespace: str, name: str, operations: list[Document], *, dry_run: bool) -> Object:
        """Apply JSON patch operations (RFC 6902; the caller puts `test`s first); returns what the server then has."""
        return Object(
            dict(
                self._call(
                    lambda: self._client.patch(
                        _Deployment,
                        name,
                        operations,
                        namespace=namespace,
                        patch_type=PatchType.JSON,
                        dry_run=dry_run,
                    ),
                    changes=True,
                )
            )
        )

    def evict(self, namespace: str, name: str, uid: str, *, dry_run: bool) -> None:
        """Ask for the pod's eviction, only if it still is the pod with this uid; honours PodDisruptionBudgets."""
        options: Document = {"preconditions": {"uid": uid}}
        if dry_run:
            options["dryRun"] = ["All"]
        body = _Eviction(
            apiVersion="policy/v1",
            kind="Eviction",
            metadata={"name": name, "namespace": namespace},
            deleteOptions=options,
        )
        # A 201 carries a Status, not an Eviction; only its arrival matters.
        self._call(lambda: self._post_eviction(body, name, namespace, dry_run=dry_run), changes=True, evicts=True)

    def ping(self) -> None:
        """Raise unless the API server answers and knows us; what it then lets us see does not matter."""
        self._call(
            lambda: next(iter(self._client.list(_Pod, namespace="default", chunk_size=1)), None), may_refuse=True
        )

    def _post_eviction(self, body: Any, name: str, namespace: str, *, dry_run: bool) -> None:
        # lightkube compares `obj.metadata.namespace`, so hand the namespace over in the metadata alone.
        self._client.create(body, name, namespace=namespace, dry_run=dry_run)

    def _list(self, resource: Any, namespace: str, labels: dict[str, str]) -> list[Object]:
        found = self._call(lambda: list(self._client.list(resource, namespace=namespace, labels=dict(labels) or None)))
        return [Object(dict(item)) for item in found]

    def _call(self, send: Any, *, changes: bool = False, evicts: bool = False, may_refuse: bool = False) -> Any:
        try:
            return send()
        except httpx2.HTTPStatusError as error:
            if may_refuse and error.response.status_code in (403, 404):
                return None
            raise _by_status(error.response, changes=changes, evicts=evicts) from None
        except _NO_CONNECTION as error:
            raise Unreachable("cluster_unreachable", f"no connection ({type(error).__name__})") from None
        except (httpx2.HTTPError, msgspec.MsgspecError) as error:
            raise Uncertain("cluster_silent", f"no clear answer ({type(error).__name__})") from None


def _config(kubeconfig: Path | None) -> SingleConfig:
    try:
        found = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_service_account()
        chosen = found.get()
    except (ConfigError, KeyError, OSError) as error:
        hint = "Set AEGIS_KUBECONFIG, or run in a pod with a service account."
        raise Invalid("no_cluster", f"no usable cluster configuration: {error}.", hint=hint) from None
    if chosen is None:
        raise Invalid("no_cluster", f"{kubeconfig} names no context.", hint="Set its current-context.")
    return chosen


def _owned(item: Object, uid: str) -> bool:
    owner = item.owner("Deployment")
    return owner is not None and owner["uid"] == uid


def _by_status(response: httpx2.Response, *, changes: bool, evicts: bool) -> Exception:
    """What an HTTP status says about a request. A 5xx to a change leaves open whether it was applied."""
    status = response.status_code
    message = _message(response)
    if status == 404:
        return ObjectGone("object_gone", message)
    if status == 429 and evicts and "retry-after" not in response.headers:
        return Rejected("disruption_budget", message)
    if status == 429 and evicts and "disruption budget" in message:
        return Rejected("disruption_budget", message)
    if status == 429:
        return Throttled(message, _retry_after(response))
    if status in (409, 422) and changes:
        return Conflicting("cluster_conflict", message)
    if 400 <= status < 500:
        return Rejected(f"cluster_{status}", message)
    return Uncertain(f"cluster_{status}", message)


def _message(response: httpx2.Response) -> str:
    try:
        document = response.json()
    except ValueError:
        document = {}
    text = document.get("message") if isinstance(document, dict) else None
    return f"the API server answered {response.status_code}: {str(text or 'no reason given')[:300]}"


def _retry_after(response: httpx2.Response) -> float:
    text = response.headers.get("retry-after", "1")
    seconds = float(text) if text.isascii() and text.isdigit() else 1.0
    return min(seconds, MAX_RETRY_AFTER_SECONDS)
