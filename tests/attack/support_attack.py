"""The world every attack on the executor shares; attack modules import its fixtures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.support_executor import ExecutorWorld, executor_world

from aegis.storage.embedded import EmbeddedPostgres


@pytest.fixture(scope="module")
def attacked(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorWorld]:
    with executor_world(postgres, tmp_path_factory.mktemp("executor")) as made:
        yield made


@pytest.fixture
def world(attacked: ExecutorWorld) -> Iterator[ExecutorWorld]:
    """The module's world, whole again: its executor is up, allowed to act, and its log verifies at the end."""
    attacked.tell()
    attacked.kube.settle()
    yield attacked
    assert attacked.log_verifies()
