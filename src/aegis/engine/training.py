"""Training as a short-lived process of its own: reads frames, fits one model per entity, writes versions, ends.

`python -m aegis.engine.training INPUT.npz MODEL_DIR` prints one JSON line per entity. scikit-learn's memory leaves
with the process; the engine itself never imports it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aegis.detection import store
from aegis.detection.detector import fit
from aegis.detection.frame import Frame
from aegis.detection.settings import Settings
from aegis.engine.models import Registry
from aegis.kit.errors import AegisError
from aegis.telemetry.catalogue import CONTEXT, SIGNALS


def settings_for(alerts_per_day: float) -> Settings:
    """Detection's knobs with what the signal catalogue knows."""
    worse = {name: signal.worse for name, signal in SIGNALS.items()}
    return Settings(budget_per_day=alerts_per_day, context=CONTEXT, worse=worse)


def write_frames(path: Path, frames: Mapping[str, Frame], alerts_per_day: float) -> None:
    """All frames in one npz without pickles; names and interval in a JSON manifest."""
    arrays: dict[str, Any] = {}
    manifest: list[dict[str, Any]] = []
    for number, (entity, frame) in enumerate(sorted(frames.items())):
        arrays[f"times_{number}"], arrays[f"values_{number}"] = frame.times, frame.values
        manifest.append({"entity": entity, "names": list(frame.names), "interval": frame.interval})
    text = json.dumps({"alerts_per_day": alerts_per_day, "frames": manifest})
    np.savez(path, manifest=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)


def read_frames(path: Path) -> tuple[dict[str, Frame], float]:
    with np.load(path, allow_pickle=False) as arrays:
        manifest = json.loads(arrays["manifest"].tobytes())
        frames = {
            one["entity"]: Frame(
                arrays[f"times_{number}"], arrays[f"values_{number}"], tuple(one["names"]), one["interval"]
            )
            for number, one in enumerate(manifest["frames"])
        }
    return frames, float(manifest["alerts_per_day"])


def train(frames: Mapping[str, Frame], directory: Path, alerts_per_day: float) -> Iterator[dict[str, Any]]:
    """Fit and save a version for each entity; yields one result each. A frame that cannot be fitted says why."""
    registry = Registry(directory)
    for entity, frame in frames.items():
        try:
            model = fit(frame, settings_for(alerts_per_day))
        except AegisError as error:
            yield {"entity": entity, "ok": False, "message": f"{error.code}: {error.message}"}
            continue
        place = registry.place(entity)
        store.save(model, place / model.version)
        fresh = place / "current.new"
        fresh.write_text(model.version)
        fresh.replace(place / "current")
        yield {"entity": entity, "ok": True, "message": model.version}


def main(arguments: list[str]) -> int:
    frames, alerts_per_day = read_frames(Path(arguments[0]))
    for result in train(frames, Path(arguments[1]), alerts_per_day):
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
