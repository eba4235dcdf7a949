"""Acting on the sandbox over HTTP: plan, act, undo field for field, limits, the switch, parallel requests."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.integration.support_executor import ExecutorWorld, executor_world

from aegis.actions.client import ActionRefused, ExecutorClient, NotApplied
from aegis.actions.model import ActionKind, Target
from aegis.actions.plan import plan_digest
from aegis.executor import journal
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.objects import ACTION_ANNOTATION
from aegis.executor.settings import Limits
from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration
CART = Target("Deployment", "shop", "cart")


@pytest.fixture(scope="module")
def shared(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorWorld]:
    with executor_world(postgres, tmp_path_factory.mktemp("executor")) as made:
        yield made


@pytest.fixture
def world(shared: ExecutorWorld) -> ExecutorWorld:
    shared.kube.settle()
    return shared


@pytest.fixture
def client(world: ExecutorWorld) -> Iterator[ExecutorClient]:
    made = world.client()
    yield made
    made.close()


def scale(world: ExecutorWorld, replicas: int, name: str = "cart") -> None:
    action = world.action(name, kind=ActionKind.SCALE_DEPLOYMENT, replicas=replicas)
    assert world.send(world.ticket(action)).json()["state"] == "executed"


def test_a_plan_is_a_dry_run_that_changes_nothing_and_says_how_to_go_back(
    world: ExecutorWorld, client: ExecutorClient
) -> None:
    before = world.effects()
    plan = client.plan(ActionKind.SCALE_DEPLOYMENT, CART, {"replicas": 4})
    assert world.effects() == before
    assert plan.diff == [{"op": "replace", "path": "/spec/replicas", "from": 3, "to": 4}]
    assert plan.inverse is not None
    assert plan.inverse["params"] == {"replicas": 3}
    assert plan.blast_radius == {"pods": 1, "fraction": "1/3", "service": "cart"}


def test_the_same_plan_made_later_has_the_same_digest(world: ExecutorWorld, client: ExecutorClient) -> None:
    one = client.plan(ActionKind.RESTART_DEPLOYMENT, CART, {})
    world.clock.advance(20)
    two = client.plan(ActionKind.RESTART_DEPLOYMENT, CART, {})
    digests = {plan_digest(ActionKind.RESTART_DEPLOYMENT, CART, {}, plan) for plan in (one, two)}
    assert len(digests) == 1


def test_an_action_takes_effect_once_and_leaves_its_id_on_the_object(
    world: ExecutorWorld, client: ExecutorClient
) -> None:
    before = world.effects()
    action = world.action()
    outcome = client.act(action, world.decide(action))
    assert (outcome.state, world.effects()) == ("executed", before + 1)
    assert world.kube.deployment("cart")["metadata"]["annotations"][ACTION_ANNOTATION] == action.id


def test_the_same_action_under_a_fresh_decision_gets_the_journalled_result(
    world: ExecutorWorld, client: ExecutorClient
) -> None:
    action = world.action()
    first = client.act(action, world.decide(action))
    before = world.effects()
    assert client.act(action, world.decide(action)) == first
    assert client.outcome(action.id) == first
    assert world.effects() == before


def test_an_id_belongs_to_one_action(world: ExecutorWorld) -> None:
    action = world.action()
    world.send(world.ticket(action))
    assert world.refused(world.ticket(replace(action, requested_by="mallory"))) == "id_reused"


def test_ten_parallel_tickets_of_one_action_have_one_effect(world: ExecutorWorld) -> None:
    action = world.action("search")
    before = world.effects()
    requests = [world.ticket(action) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(world.send, requests))
    assert world.effects() == before + 1
    assert all(answer.status_code == 200 or answer.json()["code"] == "target_busy" for answer in answers)


def test_parallel_actions_have_as_many_effects_as_answers_that_say_so(world: ExecutorWorld) -> None:
    before = world.effects()
    requests = [world.ticket(world.action(name)) for name in ("cart", "search", "payments", "catalog") * 8]
    with ThreadPoolExecutor(32) as pool:
        answers = [answer.json() for answer in pool.map(world.send, requests)]
    executed = [answer for answer in answers if answer.get("state") == "executed"]
    assert world.effects() == before + len(executed)
    others = {answer["code"] for answer in answers if "state" not in answer}
    allowed = {"target_busy", "too_many_in_flight", "stale_generation", "journal_unavailable"}
    assert others <= allowed
    assert len(executed) >= 4


def test_a_withdrawn_action_never_begins_however_late_its_request_arrives(
    world: ExecutorWorld, client: ExecutorClient
) -> None:
    before = world.effects()
    action = world.action()
    late = world.ticket(action)
    assert client.withdraw(action.id) is None
    assert world.refused(late) == "id_withdrawn"
    assert (client.outcome(action.id), world.effects()) == (None, before)


def test_an_action_that_has_begun_cannot_be_withdrawn(world: ExecutorWorld, client: ExecutorClient) -> None:
    action = world.action()
    outcome = client.act(action, world.decide(action))
    assert client.withdraw(action.id) == outcome


def test_scaling_and_its_inverse_restore_the_spec_field_for_field(world: ExecutorWorld, client: ExecutorClient) -> None:
    before = world.kube.deployment("payments")["spec"]
    target = Target("Deployment", "shop", "payments")
    plan = client.plan(ActionKind.SCALE_DEPLOYMENT, target, {"replicas": 5})
    assert plan.inverse is not None
    scale(world, 5, "payments")
    world.kube.settle()
    assert world.kube.deployment("payments")["spec"]["replicas"] == 5
    scale(world, plan.inverse["params"]["replicas"], "payments")
    world.kube.settle()
    assert world.kube.deployment("payments")["spec"] == before


def test_a_rollback_and_its_inverse_restore_the_template_field_for_field(
    world: ExecutorWorld, client: ExecutorClient
) -> None:
    world.kube.roll_out("catalog", "catalog:broken")
    before = world.kube.deployment("catalog")["spec"]
    target = Target("Deployment", "shop", "catalog")
    plan = client.plan(ActionKind.ROLLBACK_DEPLOYMENT, target, {})
    assert plan.inverse is not None
    there = world.action("catalog", kind=ActionKind.ROLLBACK_DEPLOYMENT)
    assert client.act(there, world.decide(there)).state == "executed"
    world.kube.settle()
    assert world.kube.deployment("catalog")["spec"]["template"] == plan.after["spec"]["template"]
    back = world.action("catalog", kind=ActionKind.ROLLBACK_DEPLOYMENT, **plan.inverse["params"])
    assert client.act(back, world.decide(back)).state == "executed"
    world.kube.settle()
    assert world.kube.deployment("catalog")["spec"] == before


def test_a_pod_is_evicted_by_its_uid(world: ExecutorWorld, client: ExecutorClient) -> None:
    pod = world.kube.pods_of("frontend")[0]
    action = world.pod_action(pod)
    plan = client.plan(ActionKind.RESTART_POD, action.target, {})
    assert (plan.reversible, plan.uid) == (False, pod["metadata"]["uid"])
    assert client.act(action, world.decide(action)).state == "executed"
    world.kube.settle()
    names = [one["metadata"]["name"] for one in world.kube.pods_of("frontend")]
    assert pod["metadata"]["name"] not in names


def test_facts_name_replicas_revisions_and_pods(world: ExecutorWorld, client: ExecutorClient) -> None:
    facts = client.facts("shop", "checkout")
    assert facts["uid"] == world.kube.deployment("checkout")["metadata"]["uid"]
    assert facts["replicas"] == len(facts["pods"])
    assert [one["current"] for one in facts["revisions"]].count(True) == 1


def test_asking_for_what_is_already_so_changes_nothing(world: ExecutorWorld, client: ExecutorClient) -> None:
    before = world.effects()
    wanted = world.kube.deployment("checkout")["spec"]["replicas"]
    action = world.action("checkout", kind=ActionKind.SCALE_DEPLOYMENT, replicas=wanted)
    outcome = client.act(action, world.decide(action))
    assert (outcome.state, outcome.evidence, world.effects()) == ("executed", {"no_op": True}, before)


def test_limits_of_the_executor_hold_whatever_the_ticket_says(world: ExecutorWorld) -> None:
    with world.executor(limits=Limits(max_replicas=4)) as url:
        action = world.action("checkout", kind=ActionKind.SCALE_DEPLOYMENT, replicas=5)
        assert world.refused(world.ticket(action), url=url) == "replica_limit"


def test_the_kill_switch_refuses_at_once_and_the_switch_back_lets_a_new_decision_through(world: ExecutorWorld) -> None:
    action = world.action("checkout")
    client = world.client()
    world.epoch += 1
    client.put_safety(epoch=world.epoch, stopped=True, mode="auto")
    assert world.refused(world.ticket(action)) == "stopped"
    world.epoch += 1
    client.put_safety(epoch=world.epoch, stopped=False, mode="auto")
    with pytest.raises(ActionRefused, match="not newer"):
        client.put_safety(epoch=world.epoch - 1, stopped=True, mode="auto")
    client.close()
    assert world.send(world.ticket(action)).json()["state"] == "executed"


def test_a_switch_thrown_between_two_tries_stops_the_second(world: ExecutorWorld) -> None:
    before = world.effects()
    world.kube.fail_next("conflict")
    with world.executor(wait=lambda seconds: world.tell(stopped=True)) as url:
        answer = world.send(world.ticket(world.action("checkout")), url=url).json()
    world.tell()
    assert (answer["state"], world.effects()) == ("failed", before)
    assert answer["detail"] == "nothing was changed: stopped: the kill switch is on"


def test_the_log_answers_for_every_effect_in_order(world: ExecutorWorld, client: ExecutorClient) -> None:
    action = world.action("checkout")
    client.act(action, world.decide(action))
    kinds = [entry["kind"] for entry in _everything(client) if entry["subject"] == action.id]
    assert kinds == ["action:begun", "action:finished"]


def _everything(client: ExecutorClient) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    while page := client.journal(after=len(found), limit=1000):
        found.extend(page)
    return found


def test_credentials_that_the_cluster_refuses_are_no_effect_and_no_good_health(world: ExecutorWorld) -> None:
    stale = world.kube.kubeconfig.with_name("stale")
    stale.write_text(world.kube.kubeconfig.read_text().replace("executor-token", "a-token-of-last-year"))
    cluster = KubernetesCluster(stale)
    action = world.action("checkout")
    with world.executor(cluster=cluster) as url:
        client = ExecutorClient(url, world.hmac, world.clock)
        with pytest.raises(NotApplied, match="401"):
            client.act(action, world.decide(action))
        checks = {check["name"]: check["status"] for check in client.health()["checks"]}
        client.close()
    cluster.close()
    assert (checks["journal"], checks["cluster"]) == ("ok", "down")


def test_a_cluster_that_cannot_be_reached_is_not_an_effect(world: ExecutorWorld) -> None:
    nowhere = world.kube.kubeconfig.with_name("nowhere")
    nowhere.write_text(world.kube.kubeconfig.read_text().replace(world.kube.url, "http://127.0.0.1:9"))
    cluster = KubernetesCluster(nowhere, seconds=1.0)
    action = world.action("checkout")
    with world.executor(cluster=cluster) as url:
        client = ExecutorClient(url, world.hmac, world.clock)
        with pytest.raises(NotApplied, match="no connection"):
            client.act(action, world.decide(action))
        assert client.health()["status"] == "down"
        client.close()
    cluster.close()
    with world.database.begin() as connection:
        assert journal.find(connection, action.id) is None
