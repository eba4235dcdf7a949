"""`aegis sandbox run`: the simulated cluster as a process: API over TLS on one port, metrics and control on another.

Writes two kubeconfigs into its data directory: `kubeconfig` for people and `executor-kubeconfig`, which reaches the
healed namespaces only. Cluster and faults are saved on shutdown and found again; samples are made anew.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import threading
from pathlib import Path

import structlog

from aegis.kit.clock import SystemClock
from aegis.kit.errors import AegisError
from aegis.kit.logging import configure_logging
from aegis.kit.serving import BackgroundServer, Tls
from aegis.sandbox import server
from aegis.sandbox.kube import certificate
from aegis.sandbox.kube import server as kube
from aegis.sandbox.kube.certificate import Certificate
from aegis.sandbox.kube.objects import Obj
from aegis.sandbox.settings import SandboxSettings
from aegis.sandbox.world import Sandbox

log = structlog.get_logger()
STATE = "sandbox.json"


def run(settings: SandboxSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    configure_logging("sandbox")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    state = settings.data_dir / STATE
    sandbox = open_world(settings, state)
    made = certificate.ensure(settings.data_dir)
    api = BackgroundServer(kube.create_app(sandbox.cluster), settings.host, settings.api_port, tls=_tls(made))
    app = BackgroundServer(server.create_app(sandbox), settings.host, settings.port)
    _users(sandbox, settings, api.url, made)
    with api, app:
        sandbox.run_background()
        log.info("sandbox:started", api=api.url, metrics=app.url)
        stop.wait()
        sandbox.stop()
    _save(sandbox, state)
    log.info("sandbox:stopped")


def open_world(settings: SandboxSettings, state: Path) -> Sandbox:
    """The world that was saved; a fresh one where there is none or where it cannot be read, which is put aside."""

    def made(saved: Obj | None) -> Sandbox:
        return Sandbox(SystemClock(), seed=settings.seed, interval=settings.interval_seconds, saved=saved)

    if not state.exists():
        return made(None)
    try:
        return made(json.loads(state.read_text()))
    except (ValueError, KeyError, TypeError, AegisError) as error:
        aside = state.replace(state.with_suffix(".unreadable"))
        log.warning("sandbox:state_refused", detail=f"{type(error).__name__}: {error}", kept=str(aside))
        return made(None)


def _tls(made: Certificate) -> Tls:
    return Tls(made.certificate, made.key)


def _save(sandbox: Sandbox, path: Path) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(sandbox.dump()))
    fresh.replace(path)


def _users(sandbox: Sandbox, settings: SandboxSettings, url: str, made: Certificate) -> None:
    """A person who may do everything, and the executor, who may only reach what it heals."""
    limits = {"kubeconfig": None, "executor-kubeconfig": settings.healed()}
    for name, namespaces in limits.items():
        user = "admin" if namespaces is None else "aegis-executor"
        token = _token(settings.data_dir / f"{name}.token")
        sandbox.cluster.add_user(user, token, namespaces=namespaces)
        sandbox.cluster.kubeconfig(
            settings.data_dir / name, url, user=user, token=token, namespace="shop", authority=made.pem
        )


def _token(path: Path) -> str:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text().strip()
