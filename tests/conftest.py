"""What every test may ask for: one throw-away PostgreSQL per test process, started by the first test that needs it.

Databases are copied from a migrated template, which costs milliseconds; nothing here runs unless a test asks.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from aegis.storage.embedded import EmbeddedPostgres

# A busy machine is no reason to fail: what must be quick is measured in benchmarks/.
settings.register_profile("aegis", deadline=None)
settings.load_profile("aegis")

# Files that take a minute or more, longest first: begun last, one of them would keep a worker busy alone at the end.
LONGEST = (
    "test_real_loop",
    "test_demo",
    "test_crash_matrix_processes",
    "test_crash_matrix",
    "test_crash_matrix_executor",
)
# Files whose tests share nothing worth keeping together: each of their tests goes to whichever worker is free.
APART = ("test_crash_matrix", "test_crash_matrix_processes", "test_crash_matrix_executor")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the quick unit tests last; the tests of one file stay on one worker."""
    items.sort(key=lambda item: _turn(item.path))
    for item in items:
        if item.path.stem not in APART:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def _turn(path: Path) -> tuple[int, bool]:
    place = LONGEST.index(path.stem) if path.stem in LONGEST else len(LONGEST)
    return place, "unit" in path.parts


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running cluster without fsync. pytest's own temporary directories are closed to `nobody`, so it has its own."""
    home = Path(tempfile.mkdtemp(prefix="aegis-pg-"))
    home.chmod(0o711)
    try:
        with EmbeddedPostgres(home / "pg", durable=False) as server:
            yield server
    finally:
        shutil.rmtree(home)
