"""The journal goes away before or after the effect: no effect without intent, none stays unwritten (P1, P4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection
from tests.integration.support_executor import ExecutorWorld, executor_world

from aegis.actions.client import ExecutorClient, NotApplied, OutcomeUnknown
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.database import Database
from aegis.executor.objects import Document, Object
from aegis.kit.errors import Unavailable
from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def world(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorWorld]:
    with executor_world(postgres, tmp_path_factory.mktemp("executor")) as made:
        yield made


class Unpluggable(Database):
    """The real journal with a plug that can be pulled."""

    unplugged = False

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        if self.unplugged:
            raise Unavailable("journal_unavailable", "the journal is away")
        with super().begin() as connection:
            yield connection


class Unplugging(KubernetesCluster):
    """The real client; the journal goes away just before the dry run, or just after the change."""

    def __init__(self, world: ExecutorWorld, database: Unpluggable, *, before_dry_run: bool) -> None:
        super().__init__(world.kube.kubeconfig)
        self._database = database
        self._before_dry_run = before_dry_run

    def patch_deployment(self, namespace: str, name: str, operations: list[Document], *, dry_run: bool) -> Object:
        if dry_run and self._before_dry_run:
            self._database.unplugged = True
        done = super().patch_deployment(namespace, name, operations, dry_run=dry_run)
        if not dry_run:
            self._database.unplugged = True
        return done


def test_without_a_journal_nothing_is_done_and_the_caller_knows_it(world: ExecutorWorld) -> None:
    before = world.effects()
    action = world.action("cart")
    away = Database("postgresql://nobody@127.0.0.1:9/nowhere")
    with world.executor(database=away) as url:
        client = ExecutorClient(url, world.hmac, world.clock)
        with pytest.raises(NotApplied):
            client.act(action, world.decide(action))
        assert client.health()["status"] == "down"
        client.close()
    away.close()
    assert world.effects() == before


def test_without_a_journal_what_is_too_large_is_refused_all_the_same(world: ExecutorWorld) -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/nowhere")
    with world.executor(database=away) as url:
        answer = world.http.post(f"{url}/v1/actions", content=b"x" * 20_000)
    away.close()
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(("before_dry_run", "effects", "state"), [(True, 0, "failed"), (False, 1, "executed")])
def test_an_action_that_lost_its_journal_on_the_way_is_settled_from_the_cluster(
    world: ExecutorWorld, before_dry_run: bool, effects: int, state: str
) -> None:
    before = world.effects()
    action = world.action("search")
    database = Unpluggable(world.database_url)
    cluster = Unplugging(world, database, before_dry_run=before_dry_run)
    with world.executor(database=database, cluster=cluster) as url:
        client = ExecutorClient(url, world.hmac, world.clock)
        with pytest.raises(OutcomeUnknown):
            client.act(action, world.decide(action))
        database.unplugged = False
        settled = client.outcome(action.id)
        client.close()
    cluster.close()
    database.close()
    assert settled is not None
    assert (settled.state, settled.reconciled, world.effects()) == (state, True, before + effects)
