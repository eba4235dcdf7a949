"""One handler per kind of the catalogue; `acting.py` looks it up here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

from aegis.actions.model import ActionKind
from aegis.executor.handlers.change import Handler
from aegis.executor.handlers.restart_deployment import RestartDeployment
from aegis.executor.handlers.restart_pod import RestartPod
from aegis.executor.handlers.rollback_deployment import RollbackDeployment
from aegis.executor.handlers.scale_deployment import ScaleDeployment

_ALL: tuple[Handler, ...] = (RestartPod(), RestartDeployment(), ScaleDeployment(), RollbackDeployment())
HANDLERS: Mapping[ActionKind, Handler] = {handler.kind: handler for handler in _ALL}
