"""A saved model comes back as it was, and an altered one does not come back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.detection.support_service import healthy

from aegis.detection.detector import EntityModel, fit, score
from aegis.detection.settings import Settings
from aegis.detection.store import ARRAYS, MANIFEST, load, save
from aegis.kit.errors import Invalid, NotFound


@pytest.fixture(scope="module")
def model() -> EntityModel:
    return fit(healthy(300), Settings(worse={"latency_p95": "up"}, trees=20))


def test_a_model_survives_saving(model: EntityModel, tmp_path: Path) -> None:
    save(model, tmp_path / "m")
    back = load(tmp_path / "m")
    assert back.version == model.version
    assert dict(back.settings.worse) == {"latency_p95": "up"}
    np.testing.assert_array_equal(score(back, healthy(100, seed=9)).score, score(model, healthy(100, seed=9)).score)


def test_saving_again_replaces_the_model(model: EntityModel, tmp_path: Path) -> None:
    save(fit(healthy(200, seed=5)), tmp_path)
    save(model, tmp_path)
    assert load(tmp_path).version == model.version
    assert sorted(path.name for path in tmp_path.iterdir()) == [ARRAYS, MANIFEST]


def test_altered_arrays_are_refused(model: EntityModel, tmp_path: Path) -> None:
    save(model, tmp_path)
    packed = bytearray((tmp_path / ARRAYS).read_bytes())
    packed[len(packed) // 2] ^= 1
    (tmp_path / ARRAYS).write_bytes(bytes(packed))
    with pytest.raises(Invalid) as caught:
        load(tmp_path)
    assert caught.value.code == "model_altered"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("schema", 2, "model_schema"), ("lags", 3, "model_unreadable"), ("version", "1-x", "model_altered")],
)
def test_a_manifest_that_does_not_fit_is_refused(
    model: EntityModel, tmp_path: Path, field: str, value: object, code: str
) -> None:
    save(model, tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest[field] = value
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(Invalid) as caught:
        load(tmp_path)
    assert caught.value.code == code


def test_pickled_arrays_are_refused(model: EntityModel, tmp_path: Path) -> None:
    import hashlib

    save(model, tmp_path)
    with (tmp_path / ARRAYS).open("wb") as file:
        np.savez(file, center=np.array([{}], dtype=object))
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["sha256"] = hashlib.sha256((tmp_path / ARRAYS).read_bytes()).hexdigest()
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(Invalid) as caught:
        load(tmp_path)
    assert caught.value.code == "model_unreadable"


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load(tmp_path)
