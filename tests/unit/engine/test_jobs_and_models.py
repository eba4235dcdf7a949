"""Training jobs end in a state whatever happens, and the registry gives out only what it can trust."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tests.unit.detection.support_service import healthy

from aegis.detection.frame import Frame
from aegis.engine.jobs import Job, Jobs
from aegis.engine.models import Registry
from aegis.engine.training import read_frames, settings_for, train, write_frames
from aegis.kit.clock import ManualClock
from aegis.kit.errors import Conflict, NotFound, Unavailable
from aegis.kit.ids import seeded_ids

CART, SEARCH = "deployment/shop/cart", "deployment/shop/search"


def jobs(directory: Path, *, apart: bool = False) -> Jobs:
    return Jobs(directory, seeded_ids(ManualClock(datetime(2026, 3, 3, tzinfo=UTC)), 1), 1.0, apart=apart)


def frames() -> Mapping[str, Frame]:
    return {CART: healthy(200, seed=1), SEARCH: healthy(20, seed=2)}


def wait() -> None:
    """Until the job that trains apart has ended."""
    for thread in threading.enumerate():
        if thread.name == "training":
            thread.join(60)


def test_a_job_fits_what_it_can_and_says_why_not_the_rest(tmp_path: Path) -> None:
    ready: list[str] = []
    job = jobs(tmp_path).start(frames, ready.append)
    assert job.document() == {
        "id": job.id,
        "state": "done",
        "progress": 1.0,
        "message": "1 of 2 models are fitted",
        "failed": [f"{SEARCH}: too_few_samples: 20 samples with data; a model needs at least 60"],
    }
    assert ready == [CART]
    model = Registry(tmp_path).get(CART)
    assert model is not None
    assert Registry(tmp_path).get(SEARCH) is None
    assert Registry(tmp_path).versions() == [{"entity": CART, "version": model.version}]


def test_a_child_process_gives_the_same_model(tmp_path: Path) -> None:
    done = threading.Event()
    apart = jobs(tmp_path / "apart", apart=True)
    job = apart.start(frames, lambda _: done.set())
    assert done.wait(60)
    apart.stop()
    assert job.state in ("done", "failed")
    jobs(tmp_path / "here").start(frames, lambda _: None)
    assert Registry(tmp_path / "apart").versions() == Registry(tmp_path / "here").versions()


def test_training_runs_no_code_of_the_directory_that_aegis_was_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "html.py").write_text("raise SystemExit('a stranger was run')\n")  # scikit-learn imports html
    monkeypatch.chdir(tmp_path)
    apart = jobs(tmp_path / "models", apart=True)
    job = apart.start(frames, lambda _: None)
    wait()
    assert (job.state, job.message) == ("done", "1 of 2 models are fitted")


def test_a_child_that_dies_leaves_its_last_words_until_a_job_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Traceback' >&2\necho 'ImportError: no sklearn' >&2\nexit 3\n")
    python.chmod(0o700)
    apart = jobs(tmp_path / "models", apart=True)
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", str(python))
        job = apart.start(frames, lambda _: None)
        wait()
    assert job.state == "failed"
    assert apart.problem == job.message == "the training process ended with 3: ImportError: no sklearn"
    apart.start(frames, lambda _: None)
    wait()
    assert apart.problem is None


def test_a_source_or_a_bug_that_fails_ends_the_job_as_failed(tmp_path: Path) -> None:
    def silent() -> Mapping[str, Frame]:
        raise Unavailable("prometheus_unreachable", "it does not answer")

    def broken() -> Mapping[str, Frame]:
        raise RuntimeError("a bug")

    started = jobs(tmp_path)
    for collect, message in ((silent, "it does not answer"), (broken, "RuntimeError: a bug")):
        job = started.start(collect, lambda _: None)
        assert (job.state, job.message) == ("failed", message)
    assert not started.running


def test_one_job_runs_at_a_time_and_an_unknown_one_is_not_found(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def waiting() -> Mapping[str, Frame]:
        begun.set()
        assert go_on.wait(30)
        return {}

    apart = jobs(tmp_path, apart=True)
    job = apart.start(waiting, lambda _: None)
    assert begun.wait(30)
    with pytest.raises(Conflict):
        apart.start(frames, lambda _: None)
    assert apart.get(job.id).state == "running"
    go_on.set()
    apart.stop()
    assert apart.get(job.id).state == "done"
    with pytest.raises(NotFound):
        apart.get("job_none")


def test_progress_is_a_share_and_old_jobs_are_forgotten(tmp_path: Path) -> None:
    assert Job("a", total=4, done=1).document()["progress"] == 0.25
    assert Job("a").document()["progress"] == 0.0
    many = jobs(tmp_path)
    first = many.start(dict, lambda _: None)
    for _ in range(60):
        many.start(dict, lambda _: None)
    with pytest.raises(NotFound):
        many.get(first.id)


def test_frames_come_back_as_they_were_written(tmp_path: Path) -> None:
    given = dict(frames())
    given[CART].values[3, 2] = np.nan
    write_frames(tmp_path / "frames.npz", given, 0.5)
    found, budget = read_frames(tmp_path / "frames.npz")
    assert budget == 0.5
    assert found.keys() == given.keys()
    for entity, frame in given.items():
        assert np.array_equal(found[entity].values, frame.values, equal_nan=True)
        assert np.array_equal(found[entity].times, frame.times)
        assert (found[entity].names, found[entity].interval) == (frame.names, frame.interval)


def test_models_know_what_the_catalogue_knows() -> None:
    settings = settings_for(2.0)
    assert settings.budget_per_day == 2.0
    assert settings.worse["error_ratio"] == "up"
    assert "rollout_age" in settings.context


@pytest.mark.parametrize("entity", ["deployment/../x", "deployment/shop/..", "pod/shop/x", "deployment/shop/a/b", ""])
def test_no_name_escapes_the_model_directory(tmp_path: Path, entity: str) -> None:
    with pytest.raises(ValueError, match="not an entity"):
        Registry(tmp_path).place(entity)


def test_a_newer_version_is_used_once_the_registry_is_told(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    assert registry.get(CART) is None
    list(train({CART: healthy(200, seed=1)}, tmp_path, 1.0))
    assert registry.get(CART) is None
    fresh = registry.refresh(CART)
    assert fresh is not None
    list(train({CART: healthy(300, seed=1)}, tmp_path, 1.0))
    newer = registry.refresh(CART)
    assert newer is not None
    assert newer.version != fresh.version
    assert len(list((tmp_path / "shop" / "cart").glob("*/manifest.json"))) == 2


def test_a_version_that_is_gone_or_altered_is_no_model(tmp_path: Path) -> None:
    list(train({CART: healthy(200, seed=1)}, tmp_path, 1.0))
    current = tmp_path / "shop" / "cart" / "current"
    current.write_text("1-none")
    assert Registry(tmp_path).get(CART) is None
    current.write_text("../../../../etc")
    assert Registry(tmp_path).get(CART) is None


@pytest.mark.parametrize("content", [b"\xff\xfe", b"1\x00", b"x" * 300])
def test_a_file_that_names_no_version_is_no_model(tmp_path: Path, content: bytes) -> None:
    list(train({CART: healthy(200, seed=1)}, tmp_path, 1.0))
    (tmp_path / "shop" / "cart" / "current").write_bytes(content)
    assert Registry(tmp_path).get(CART) is None
