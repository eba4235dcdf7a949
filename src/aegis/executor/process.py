"""The executor as a process of its own: settings in, keys and cluster opened, one app served, open actions settled.

`aegis executor` calls `run`. It refuses to start on weak keys, an empty namespace list or a newer journal.
"""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from aegis.actions.keys import load_hmac_keys, load_verifying_keys
from aegis.executor.app import Deps, create_app
from aegis.executor.cluster import KubernetesCluster
from aegis.executor.database import Database
from aegis.executor.namespaces import Namespaces
from aegis.executor.reconcile import Reconciler
from aegis.executor.settings import ExecutorSettings, comma_list
from aegis.kit.clock import SystemClock
from aegis.kit.errors import AegisError, Invalid
from aegis.kit.serving import bind, serve
from aegis.kit.settings import read_secret

RECONCILE_SECONDS = 5.0
_logger = structlog.get_logger()


def run(settings: ExecutorSettings) -> None:
    """Serve until SIGTERM; returns after draining."""
    clock = SystemClock()
    namespaces = Namespaces(
        frozenset(comma_list(settings.namespaces)), settings.own_namespace, settings.unsafe_protected_namespaces
    )
    hmac_keys = load_hmac_keys([Path(name) for name in comma_list(settings.hmac_key_files)])
    decision_keys = load_verifying_keys([Path(name) for name in comma_list(settings.decision_key_files)])
    database = Database(_database_url(settings))
    database.migrate()
    cluster = KubernetesCluster(settings.kubeconfig)
    limits = settings.limits()
    app = create_app(Deps(database, cluster, hmac_keys, decision_keys, namespaces, limits, clock))
    listener = bind(settings.host, settings.port)
    stop = threading.Event()
    settling = threading.Thread(target=_settle, args=(app.state.reconciler, stop), name="reconcile", daemon=True)
    settling.start()
    _logger.info("executor:listening", host=settings.host, port=listener.getsockname()[1])
    try:
        serve(app, listener)
    finally:
        stop.set()
        settling.join(RECONCILE_SECONDS)
        cluster.close()
        database.close()


def _settle(reconciler: Reconciler, stop: threading.Event) -> None:
    while not stop.wait(RECONCILE_SECONDS):
        try:
            reconciler.run_once()
        except AegisError as error:
            _logger.warning("reconcile:postponed", code=error.code, detail=error.message)
        except Exception:  # the top of the thread: were it to end, nothing would be settled any more
            _logger.exception("reconcile:crashed")


def _database_url(settings: ExecutorSettings) -> str:
    if settings.database_url_file is not None:
        return read_secret(settings.database_url_file, what="executor database URL").decode()
    if not settings.database_url:
        hint = "Set AEGIS_DATABASE_URL or AEGIS_DATABASE_URL_FILE to a database of the executor's own."
        raise Invalid("no_database", "the executor has no database", hint=hint)
    return settings.database_url
