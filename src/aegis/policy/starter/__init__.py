"""The policies a first start is seeded with: careful, readable, and meant to be replaced by one's own.

Each JSON file beside this one is a policy: Aegis observes everywhere and asks a person in production. Those under
`sandbox/` let it act by itself and are seeded only where the cluster is the simulated one.
"""

from __future__ import annotations

import json
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any


def documents() -> list[dict[str, Any]]:
    """The starter policies for every cluster, by file name."""
    return _read(resources.files(__name__))


def for_sandbox() -> list[dict[str, Any]]:
    """Those beside them for the namespaces of the sandbox."""
    return _read(resources.files(__name__) / "sandbox")


def _read(directory: Traversable) -> list[dict[str, Any]]:
    files = [entry for entry in directory.iterdir() if entry.name.endswith(".json")]
    return [json.loads(entry.read_text(encoding="utf-8")) for entry in sorted(files, key=lambda entry: entry.name)]
