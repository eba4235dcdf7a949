"""Keeps entity models on disk: arrays as npz without pickle, everything else in a JSON manifest that hashes the arrays.

The engine and the command line save and load folders with it. It never unpickles anything, and it refuses a folder
whose arrays, version or shapes are not what the manifest says.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis.detection.envelope import Envelope
from aegis.detection.forecast import Forecast
from aegis.detection.forest import DEPTH, Forest
from aegis.detection.model import EntityModel, Tails
from aegis.detection.profile import BINS, Profile
from aegis.detection.scaling import Scaler
from aegis.detection.settings import Settings
from aegis.detection.statistics import Views
from aegis.kit import strict_json
from aegis.kit.errors import Invalid, NotFound

SCHEMA = 1
ARRAYS = "arrays.npz"
MANIFEST = "manifest.json"

Arrays = dict[str, NDArray[Any]]


def save(model: EntityModel, folder: Path) -> None:
    """Write `model` into `folder` (made if needed); each file is replaced whole, the manifest last."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **_arrays(model))
    packed = buffer.getvalue()
    _replace(folder / ARRAYS, packed)
    _replace(folder / MANIFEST, json.dumps(_manifest(model, packed), indent=1, sort_keys=True).encode())


def load(folder: Path) -> EntityModel:
    """The model in `folder`; raises `NotFound` without one and `Invalid` for anything altered or foreign."""
    if not (folder / MANIFEST).is_file() or not (folder / ARRAYS).is_file():
        raise NotFound("no_model", f"there is no model in {folder}")
    manifest = strict_json.loads((folder / MANIFEST).read_bytes())
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise Invalid("model_schema", f"the model in {folder} is not of schema {SCHEMA}", hint="Train it again.")
    packed = (folder / ARRAYS).read_bytes()
    if hashlib.sha256(packed).hexdigest() != manifest.get("sha256"):
        raise Invalid("model_altered", f"the arrays in {folder} are not those of their manifest")
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as stored:
            model = _model(manifest, {name: stored[name] for name in stored.files})
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise Invalid("model_unreadable", f"the model in {folder} is incomplete: {error}") from None
    if model.version != manifest.get("version"):
        raise Invalid("model_altered", f"the model in {folder} is not the version that its manifest names")
    return model


def _arrays(model: EntityModel) -> Arrays:
    arrays: Arrays = {
        "center": model.scaler.center,
        "spread": model.scaler.spread,
        "constant": model.scaler.constant,
        "unseen": model.scaler.unseen,
        "positive": model.scaler.positive,
        "profile": model.profile.level,
        "weights": model.forecast.weights,
        "noise": model.noise,
        "gap_noise": model.gap_noise,
        "scored": model.scored,
        "side": model.side,
        "tail_smooth": model.tails.smooth,
        "tail_peak": model.tails.peak,
        "tail_level": model.tails.level,
    }
    if model.views is not None:
        arrays |= {
            "envelope_center": model.views.envelope.center,
            "envelope_whiten": model.views.envelope.whiten,
            "forest_feature": model.views.forest.feature,
            "forest_threshold": model.views.forest.threshold,
            "forest_length": model.views.forest.length,
            "views_middle": model.views.middle,
            "views_upper": model.views.upper,
        }
    return arrays


def _manifest(model: EntityModel, packed: bytes) -> dict[str, Any]:
    settings = {item.name: getattr(model.settings, item.name) for item in fields(Settings)}
    settings["worse"] = dict(model.settings.worse)
    return {
        "schema": SCHEMA,
        "sha256": hashlib.sha256(packed).hexdigest(),
        "version": model.version,
        "names": list(model.names),
        "interval": model.interval,
        "settings": settings,
        "lags": model.forecast.lags,
        "block": model.tails.block,
        "calm": model.calm,
        "normal": model.views.forest.normal if model.views else None,
        "rows": model.rows,
        "trained_from": model.trained_from,
        "trained_to": model.trained_to,
    }


def _model(manifest: dict[str, Any], arrays: Arrays) -> EntityModel:
    names = tuple(str(name) for name in manifest["names"])
    lags, c = int(manifest["lags"]), len(names)
    _check(
        arrays,
        dict.fromkeys(("center", "spread", "constant", "unseen", "positive", "noise", "gap_noise", "scored"), (c,)),
    )
    _check(arrays, {"side": (c,), "profile": (BINS, c), "weights": (lags * c + 1, c)})
    return EntityModel(
        names=names,
        interval=float(manifest["interval"]),
        settings=_settings(manifest["settings"]),
        scaler=Scaler(*(arrays[name] for name in ("center", "spread", "constant", "unseen", "positive"))),
        profile=Profile(arrays["profile"]),
        forecast=Forecast(arrays["weights"], lags),
        noise=arrays["noise"],
        gap_noise=arrays["gap_noise"],
        scored=arrays["scored"],
        side=arrays["side"],
        views=_views(manifest, arrays, c),
        calm=float(manifest["calm"]),
        tails=Tails(arrays["tail_smooth"], arrays["tail_peak"], arrays["tail_level"], int(manifest["block"])),
        rows=int(manifest["rows"]),
        trained_from=float(manifest["trained_from"]),
        trained_to=float(manifest["trained_to"]),
    )


def _views(manifest: dict[str, Any], arrays: Arrays, signals: int) -> Views | None:
    if manifest["normal"] is None:
        return None
    trees = len(arrays["forest_feature"])
    _check(arrays, {"envelope_center": (signals,), "views_middle": (3,), "views_upper": (3,)})
    _check(arrays, dict.fromkeys(("forest_feature", "forest_threshold"), (trees, 2**DEPTH - 1)))
    _check(arrays, {"forest_length": (trees, 2**DEPTH)})
    forest = Forest(
        arrays["forest_feature"], arrays["forest_threshold"], arrays["forest_length"], float(manifest["normal"])
    )
    envelope = Envelope(arrays["envelope_center"], arrays["envelope_whiten"])
    return Views(envelope, forest, arrays["views_middle"], arrays["views_upper"])


def _settings(document: dict[str, Any]) -> Settings:
    lists = {name: tuple(document[name]) for name in ("context", "smoothing")}
    return Settings(**{**document, **lists})


def _check(arrays: Arrays, shapes: dict[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has the shape {arrays[name].shape}, not {shape}")


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_bytes(content)
    fresh.replace(path)
