"""Our servers and our clients agree on who lets go of a connection first."""

from __future__ import annotations

import httpx2
from starlette.applications import Starlette

from aegis.kit.serving import BackgroundServer


def test_a_server_keeps_an_idle_connection_longer_than_its_clients_do() -> None:
    ours = httpx2.Limits().keepalive_expiry
    assert ours is not None
    with BackgroundServer(Starlette()) as server:
        assert server._server.config.timeout_keep_alive > ours
