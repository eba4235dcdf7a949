"""`aegis api | controller | engine | executor`: one process in the foreground, configured by `AEGIS_*` variables.

Used where each process has an identity of its own (systemd, Kubernetes); `aegis up` forks them instead.
"""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    for command in (api, controller, engine, executor):
        app.command()(command)


def api() -> None:
    """The API and the web page, configured by AEGIS_* variables."""
    from aegis.api.process import run
    from aegis.api.settings import ApiSettings

    run(ApiSettings.read())


def controller() -> None:
    """The loop, configured by AEGIS_* variables."""
    from aegis.controller.process import run
    from aegis.controller.settings import ControllerSettings

    run(ControllerSettings.read())


def engine() -> None:
    """Detection, diagnosis and recommendation, configured by AEGIS_* variables."""
    from aegis.engine.process import run
    from aegis.engine.settings import EngineSettings

    run(EngineSettings.read())


def executor() -> None:
    """The only process with cluster rights, configured by AEGIS_* variables."""
    from aegis.executor.process import run
    from aegis.executor.settings import ExecutorSettings

    run(ExecutorSettings.read())
