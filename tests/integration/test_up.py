"""`aegis up`, started for real: everything answers, stops cleanly, finds its data again, and outlives no kill."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.integration.support_up import up

pytestmark = pytest.mark.integration


@pytest.fixture
def home() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="aegis-up-"))
    directory.chmod(0o711)
    yield directory / "data"
    shutil.rmtree(directory)


def _parts_of(pid: int) -> dict[str, int]:
    """Process ids of the supervisor's children, by name."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {Path(f"/proc/{child}/comm").read_text().strip(): int(child) for child in children}


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_everything_starts_answers_stops_and_finds_its_data_again(home: Path) -> None:
    with up(home) as first:
        assert "--first-admin" in first.said
        assert httpx2.get(f"{first.url}/health/ping").json() == {"status": "ok"}
        assert "html" in httpx2.get(f"{first.url}/").headers["content-type"]
        parts = _parts_of(first.process.pid)
        assert len(parts) == 6  # five parts and the database
        assert "Everything is stopped." in first.stop()
        assert first.process.returncode == 0
    assert not any(_alive(pid) for pid in parts.values())
    with up(home) as second:
        token = re.search(r"one-time token (\S+),", first.said)
        assert token is not None
        assert token[1] in second.said  # nobody used it yet
        second.stop()


def test_no_part_outlives_a_killed_up_and_the_next_start_recovers(home: Path) -> None:
    with up(home) as first:
        parts = _parts_of(first.process.pid)
        first.process.kill()
        first.process.wait()
    with up(home) as second:
        assert "Aegis is up" in second.said
        assert not any(_alive(pid) for pid in parts.values())
        second.stop()
