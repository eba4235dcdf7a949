"""The policies a first start is seeded with: careful, readable, and meant to be replaced by one's own.

Each JSON file beside this one is a policy; `documents()` is read by `aegis up`, the tour and the tests.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def documents() -> list[dict[str, Any]]:
    """The starter policies, by file name."""
    files = [entry for entry in resources.files(__name__).iterdir() if entry.name.endswith(".json")]
    return [json.loads(entry.read_text(encoding="utf-8")) for entry in sorted(files, key=lambda entry: entry.name)]
