"""The API as one worker process for `benchmarks/policy_http.py`: its own app, on one core, at the workload's time.

Started with the database's URL and a core; prints its port and serves until it is told to stop.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.peers.workload import NOON

from aegis.api.app import CONNECTIONS, create_app
from aegis.api.deps import Deps
from aegis.kit.clock import SystemClock
from aegis.kit.ids import Ids
from aegis.kit.serving import bind, serve
from aegis.storage.database import Database


class AtWorkload(SystemClock):
    """The machine's clock, moved to the time that the workload's questions are about."""

    def __init__(self) -> None:
        self._shift = NOON - super().now()

    def now(self) -> datetime:
        return super().now() + self._shift


def main(url: str, core: str) -> None:
    if core:
        os.sched_setaffinity(0, {int(core)})
    clock = AtWorkload()
    listener = bind("127.0.0.1", 0)
    deps = Deps(
        database=Database(url, pool_size=CONNECTIONS, application="aegis-bench"),
        clock=clock,
        ids=Ids(clock),
        engine_url="http://127.0.0.1:9",
        audit_vkey="aegis-audit/bench",
    )
    app = create_app(deps)
    print(listener.getsockname()[1], flush=True)
    serve(app, listener, on_leave=app.state.live.leave)
    deps.database.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])
