"""The model registry on disk: one directory per entity and version, and a file that names the current one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from aegis.detection import store
from aegis.detection.model import EntityModel
from aegis.kit.errors import AegisError

log = structlog.get_logger()
_ENTITY = re.compile(r"deployment/[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}", re.ASCII)


@dataclass
class Registry:
    """Loads models lazily and keeps them; `refresh` looks for a newer one."""

    directory: Path
    _loaded: dict[str, EntityModel | None] = field(default_factory=dict)

    def get(self, entity: str) -> EntityModel | None:
        """The current model, or None when there is none or it cannot be trusted (which is logged)."""
        if entity not in self._loaded:
            self._loaded[entity] = self._load(entity)
        return self._loaded[entity]

    def refresh(self, entity: str) -> EntityModel | None:
        """Read the current model again, after a training job wrote one."""
        self._loaded.pop(entity, None)
        return self.get(entity)

    def versions(self) -> list[dict[str, str]]:
        found = []
        for current in sorted(self.directory.glob("*/*/current")):
            namespace, name = current.parts[-3:-1]
            found.append({"entity": f"deployment/{namespace}/{name}", "version": current.read_text().strip()})
        return found

    def place(self, entity: str) -> Path:
        """The entity's directory; entities are checked names, so no path can escape."""
        if _ENTITY.fullmatch(entity) is None or ".." in entity:
            raise ValueError(f"{entity!r} is not an entity")
        _, namespace, name = entity.split("/")
        return self.directory / namespace / name

    def _load(self, entity: str) -> EntityModel | None:
        current = self.place(entity) / "current"
        if not current.exists():
            return None
        try:
            return store.load(self.place(entity) / current.read_text().strip())
        except (AegisError, OSError, ValueError) as error:  # unreadable, or no text where a name should be
            log.warning("model:refused", entity=entity, detail=str(error))
            return None
