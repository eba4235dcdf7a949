"""`aegis engine`: the engine as an operating-system process."""

from __future__ import annotations

import structlog

from aegis.engine.app import Deps, create_app
from aegis.engine.settings import EngineSettings
from aegis.kit.clock import SystemClock
from aegis.kit.ids import Ids
from aegis.kit.logging import configure_logging
from aegis.kit.serving import bind, serve
from aegis.kit.settings import read_secret
from aegis.telemetry.prometheus import PrometheusSource

log = structlog.get_logger()


def run(settings: EngineSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    configure_logging("engine")
    listener = bind(settings.host, settings.port)
    token = None
    if settings.prometheus_token_file is not None:
        token = read_secret(settings.prometheus_token_file, what="Prometheus token").decode()
    source = PrometheusSource(settings.prometheus_url, interval=settings.scrape_seconds, token=token)
    clock = SystemClock()
    deps = Deps(source, settings.model_dir, clock, Ids(clock), settings.alerts_per_day)
    log.info("engine:listening", port=listener.getsockname()[1])
    try:
        serve(create_app(deps), listener)
    finally:
        source.close()
