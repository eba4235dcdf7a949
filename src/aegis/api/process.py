"""`aegis api`: the API and the web page as an operating-system process.

`aegis api` and `aegis up` call `run`. It refuses to start on a missing key file or a database of a newer Aegis.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from aegis.api.app import CONNECTIONS, create_app
from aegis.api.deps import Deps
from aegis.api.hashing import AT_ONCE
from aegis.api.peer import networks
from aegis.api.settings import ApiSettings
from aegis.kit.clock import SystemClock
from aegis.kit.errors import Invalid
from aegis.kit.ids import Ids
from aegis.kit.logging import configure_logging
from aegis.kit.serving import bind, serve
from aegis.storage.database import Database
from aegis.storage.decision_cache import SharedAnswers
from aegis.storage.migrate import upgrade

log = structlog.get_logger()
VKEY = re.compile(r"aegis-audit/[0-9a-f]{16}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}", re.ASCII)


def run(settings: ApiSettings) -> None:
    """Serve until SIGTERM or SIGINT, then end the live streams and drain."""
    configure_logging("api")
    clock = SystemClock()
    answers = SharedAnswers.from_settings(settings.redis_url, settings.cache_key_file, clock)
    vkey = read_vkey(settings.audit_public_key_file)
    listener = bind(settings.host, settings.port)
    url = settings.database()
    database = Database(url, pool_size=CONNECTIONS + AT_ONCE, application="aegis-api")
    with database.begin():  # says in one sentence when there is none
        pass
    upgrade(url)
    deps = Deps(
        database=database,
        clock=clock,
        ids=Ids(clock),
        engine_url=settings.engine_url.rstrip("/"),
        audit_vkey=vkey,
        bootstrap_token_file=settings.bootstrap_token_file,
        public_url=settings.public_url,
        proxies=networks(settings.trusted_proxies),
        sandbox=settings.sandbox,
        policy_directory=settings.policy_dir,
        answers=answers,
    )
    app = create_app(deps)
    public = urlsplit(settings.public_url).hostname
    log.info("api:listening", host=settings.host, port=listener.getsockname()[1])
    try:
        serve(app, listener, on_leave=app.state.live.leave, names=[public] if public else [])
    finally:
        database.close()
        if answers is not None:
            answers.close()


def read_vkey(path: Path) -> str:
    """The public key line that `aegis keys` wrote; raises `Invalid`."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Invalid("audit_key_unreadable", f"{path} cannot be read.", hint="Make it with: aegis keys") from None
    if VKEY.fullmatch(text) is None:
        raise Invalid("audit_key_shape", f"{path} holds no public key line.", hint="Make it with: aegis keys")
    return text
