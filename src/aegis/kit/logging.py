"""Structured logs: one event is one JSON line (or a readable one on a terminal), named `subject:verb`.

Called once per process at start; every module then uses `structlog.get_logger()`. Control characters are escaped
by the JSON renderer, so that no input can forge a second line; secrets are never passed in.
"""

from __future__ import annotations

import logging
import os
import sys

import structlog


def configure_logging(process: str, *, json_lines: bool | None = None) -> None:
    """Set up structlog and the standard library's logging for this process, writing to standard error."""
    as_json = not sys.stderr.isatty() if json_lines is None else json_lines
    level = getattr(logging, os.environ.get("AEGIS_LOG_LEVEL", "INFO").upper(), logging.INFO)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
