"""kill -9 at every numbered point of act: no second effect, no silent one, settled with evidence (P1, P4)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from tests.integration.support_executor import ExecutorWorld, executor_world, fresh_database

from aegis.actions.client import ExecutorClient, OutcomeUnknown
from aegis.actions.ticket import Decision
from aegis.executor import journal, safety
from aegis.executor.database import intents
from aegis.executor.journal import Intent
from aegis.executor.reconcile import Reconciler
from aegis.executor.safety import Safety
from aegis.kit.clock import ManualClock, SystemClock
from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration

CHILD = """
from aegis.executor.process import run
from aegis.executor.settings import ExecutorSettings
from aegis.kit.logging import configure_logging
configure_logging("executor", json_lines=True)
run(ExecutorSettings.read())
"""

# point → (effects after the crash, state after the restart)
POINTS = {
    "executor.before_intent": (0, None),
    "executor.after_intent": (0, "failed"),
    "executor.after_dry_run": (0, "failed"),
    "executor.before_apply": (0, "unknown"),
    "executor.after_apply": (1, "executed"),
    "executor.after_result": (1, "executed"),
}


@pytest.fixture(scope="module")
def shared(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorWorld]:
    with executor_world(postgres, tmp_path_factory.mktemp("executor"), real_time=True) as made:
        yield made


@pytest.fixture
def world(shared: ExecutorWorld) -> ExecutorWorld:
    shared.kube.settle()
    return shared


@contextmanager
def executor_process(
    world: ExecutorWorld, directory: Path, crash_at: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """An executor in a process of its own that dies at `crash_at`; its URL and the process."""
    for kid, secret in world.hmac.secrets.items():
        key = directory / f"{kid}.key"
        key.write_text(secret.hex())
        key.chmod(0o600)
    (directory / "decision.pub").write_bytes(world.public_pem())
    (directory / "database").write_text(world.database_url)
    (directory / "database").chmod(0o600)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AEGIS_")},
        "AEGIS_CRASH_AT": crash_at,
        "AEGIS_DATABASE_URL_FILE": str(directory / "database"),
        "AEGIS_KUBECONFIG": str(world.kube.kubeconfig),
        "AEGIS_NAMESPACES": "shop",
        "AEGIS_HMAC_KEY_FILES": f"{directory / 'now.key'},{directory / 'before.key'}",
        "AEGIS_DECISION_KEY_FILES": str(directory / "decision.pub"),
        "AEGIS_PORT": "0",
    }
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if "executor:listening" in line:
                    yield f"http://127.0.0.1:{json.loads(line)['port']}", process
                    break
            else:
                pytest.fail("the executor did not start")
        finally:
            process.kill()


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_leaves_at_most_one_effect_and_a_known_end(
    world: ExecutorWorld, tmp_path: Path, point: str
) -> None:
    effects, state = POINTS[point]
    before = world.effects()
    action = world.action("cart")
    with executor_process(world, tmp_path, point) as (url, process):
        caller = ExecutorClient(url, world.hmac, world.clock)
        with pytest.raises(OutcomeUnknown):
            caller.act(action, world.decide(action))
        caller.close()
        assert process.wait(10) == -signal.SIGKILL
    assert world.effects() == before + effects

    world.restart()
    client = world.client()
    try:
        found = client.outcome(action.id)
    finally:
        client.close()
    assert (found.state if found else None) == state
    if state == "executed" and point != "executor.after_result":
        assert found is not None
        assert found.reconciled
        assert found.evidence["annotation"] == action.id
    if state == "unknown":
        assert _after_settling(world, action.id) == "failed"

    # The loop tries again under the same id: never a second effect.
    again = world.send(world.ticket(action))
    if point == "executor.before_intent":
        assert again.json()["state"] == "executed"
        effects = 1
    assert world.effects() == before + effects


def test_a_record_that_nobody_can_read_holds_up_neither_the_start_nor_the_others(
    world: ExecutorWorld, postgres: EmbeddedPostgres
) -> None:
    with fresh_database(postgres) as database:
        bad, good = world.ids.new("rem"), world.action("cart")
        with database.begin() as connection:
            row: dict[str, Any] = {
                "decision_id": "dec",
                "digest": "d",
                "namespace": "shop",
                "target": "deployment/shop/search",
            }
            row |= {"action": {}, "decision": {}, "before": {}, "after": {}, "at": world.clock.now()}
            connection.execute(insert(intents).values(action_id=bad, **row))
            safety.put(connection, Safety(epoch=1, stopped=False, mode="auto"), now=world.clock.now())
            decision = Decision(world.ids.new("dec"), 1, 2, "allow", "a" * 64, "p", 1, "aegis", (), "auto", 9)
            intent = Intent(good, "d" * 64, decision, {}, {}, world.clock.now())
            journal.begin(connection, intent, world.deps.limits, now=world.clock.now())
        with world.executor(database=database) as url:  # which settles when it starts
            client = ExecutorClient(url, world.hmac, world.clock)
            health = client.health()
            client.close()
        with database.begin() as connection:
            settled = journal.find(connection, good.id)
    assert settled is not None
    assert settled.state == "failed"
    assert {"name": "actions", "status": "degraded", "detail": "1 begun and not settled yet"} in health["checks"]


def _after_settling(world: ExecutorWorld, action_id: str) -> str:
    """The state once the settling time is over."""
    deps = world.deps
    later = ManualClock(SystemClock().now() + timedelta(seconds=deps.limits.settle_seconds + 1))
    Reconciler(deps.database, deps.cluster, deps.limits, later, wait=deps.wait).run_once()
    with deps.database.begin() as connection:
        record = journal.find(connection, action_id)
    assert record is not None
    return record.state
