"""`aegis up`: everything on one machine – database, keys, sandbox or a real cluster, and the four processes.

It wires settings for the parts and hands them to the supervisor; all state lies in one directory, so that a second
start finds it again. It decides nothing about the loop and opens no port of its own.
"""

from __future__ import annotations

import ctypes
import http.client
import importlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aegis.kit.errors import Conflict, Invalid, Unavailable

if TYPE_CHECKING:
    from aegis.cli.installation import Installation
    from aegis.cli.supervise import Part
    from aegis.storage.embedded import EmbeddedPostgres

HOST = "127.0.0.1"
PORT_PATIENCE_SECONDS = 3.0  # the parts of an Aegis killed just now may still be draining
PRELOADED = (
    "aegis.sandbox.process",
    "aegis.engine.process",
    "aegis.executor.process",
    "aegis.api.process",
    "aegis.controller.process",
)
_M_ARENA_MAX = -8


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where telemetry comes from and what may be acted on."""

    prometheus: str
    prometheus_token_file: Path | None
    kubeconfig: Path
    namespaces: str


@dataclass(frozen=True, slots=True)
class Ports:
    api: int
    engine: int
    executor: int
    kube: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Databases:
    """URLs of the control plane's and the executor's own database; the server when it is ours."""

    control: str
    executor: str
    server: EmbeddedPostgres | None


def register(app: typer.Typer) -> None:
    app.command()(up)


def up(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where everything is kept. Default: AEGIS_HOME, else a place for your user.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The API and the web page; 0 takes a free one.")] = 3000,
    reset: Annotated[bool, typer.Option("--reset", help="Forget everything and start afresh.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --reset.")] = False,
    prometheus: Annotated[str | None, typer.Option(help="A real Prometheus, instead of the sandbox's.")] = None,
    prometheus_token_file: Annotated[
        Path | None, typer.Option(help="A file with the bearer token that Prometheus asks for.")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="A real cluster, instead of the sandbox's.")] = None,
    namespaces: Annotated[str | None, typer.Option(help="Namespaces to watch and act in: a,b.")] = None,
    no_sandbox: Annotated[bool, typer.Option("--no-sandbox", help="Refuse to start the simulated cluster.")] = False,
    engine_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    executor_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 4000,
    kube_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The sandbox's Kubernetes API; 0 takes a free one.")
    ] = 6440,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The sandbox's Prometheus, Loki and control; 0 takes a free one.")
    ] = 9490,
) -> None:
    """Start everything on this machine and stay until Ctrl-C.

    Without options: a simulated cluster with a small shop in it, so that there is something to heal. With --prometheus,
    --kubeconfig and --namespaces: the same loop on your own cluster. DATABASE_URL and EXECUTOR_DATABASE_URL switch to
    PostgreSQL servers of yours.
    """
    started = time.monotonic()
    real = _real_cluster(prometheus, prometheus_token_file, kubeconfig, namespaces, no_sandbox=no_sandbox)
    from aegis.cli.installation import Installation, default_root

    home = Installation((data_dir or default_root()).absolute())
    if reset:
        _reset(home, yes=yes)
    home.take()
    wanted = Ports(port, engine_port, executor_port, kube_port, metrics_port)
    ports = _check_ports(wanted, sandbox=real is None)
    _say(f"Aegis keeps its data in {home.root}")
    _quiet_libraries()
    home.keys.generate()
    home.keys.check()
    databases = _databases(home)
    try:
        _run(home, databases, ports, real, started)
    finally:
        if databases.server is not None:
            databases.server.stop()
        home.release()
        _say("Everything is stopped.")


def _run(home: Installation, databases: Databases, ports: Ports, real: Cluster | None, started: float) -> None:
    from aegis.cli.supervise import Interrupted, Supervisor
    from aegis.cli.welcome import welcome
    from aegis.storage.migrate import upgrade

    upgrade(databases.control)
    _say("  ready  database")
    for module in PRELOADED:
        if real is None or module != "aegis.sandbox.process":
            importlib.import_module(module)
    home.first_admin_token()
    cluster = real or _sandbox_cluster(home, ports)
    parts = _parts(home, databases, ports, cluster, sandbox=real is None)
    supervisor = Supervisor(parts, home.logs, _say, in_child=partial(_let_go, home, databases))
    supervisor.block_signals()
    try:
        supervisor.start()
        _say(
            welcome(
                home,
                api=f"http://{HOST}:{ports.api}",
                sandbox=f"http://{HOST}:{ports.metrics}" if real is None else None,
                nobody_yet=_nobody_yet(databases),
                seconds=time.monotonic() - started,
            )
        )
        supervisor.watch(partial(_mind_database, databases))
    except Interrupted:
        _say("Interrupted while starting.")
    finally:
        _say("Stopping (Ctrl-C again to force) ...")
        supervisor.stop()


def _parts(home: Installation, databases: Databases, ports: Ports, cluster: Cluster, *, sandbox: bool) -> list[Part]:
    """The parts in the order they start; each settings class is filled here and nowhere else."""
    from aegis.cli.supervise import Part

    parts = [
        Part("engine", partial(_engine, home, ports, cluster), partial(_answers, ports.engine), _after(sandbox)),
        Part("executor", partial(_executor, home, databases, ports, cluster), partial(_answers, ports.executor)),
        Part("api", partial(_api, home, databases, ports, cluster, sandbox), partial(_answers, ports.api)),
        Part("controller", partial(_controller, home, databases, ports, cluster), lambda: True, ("engine", "executor")),
    ]
    parts[1].after = _after(sandbox)
    if sandbox:
        parts.insert(0, Part("sandbox", partial(_sandbox, home, ports), partial(_answers, ports.metrics)))
    return parts


def _after(sandbox: bool) -> tuple[str, ...]:
    return ("sandbox",) if sandbox else ()


def _engine(home: Installation, ports: Ports, cluster: Cluster) -> None:
    from aegis.engine.process import run
    from aegis.engine.settings import EngineSettings

    run(
        EngineSettings.read(
            {},
            prometheus_url=cluster.prometheus,
            prometheus_token_file=cluster.prometheus_token_file,
            model_dir=home.models,
            port=ports.engine,
        )
    )


def _executor(home: Installation, databases: Databases, ports: Ports, cluster: Cluster) -> None:
    from aegis.executor.process import run
    from aegis.executor.settings import ExecutorSettings

    run(
        ExecutorSettings.read(
            {},
            database_url=databases.executor,
            kubeconfig=cluster.kubeconfig,
            namespaces=cluster.namespaces,
            hmac_key_files=",".join(map(str, home.keys.hmac)),
            decision_key_files=str(home.keys.decision_public),
            port=ports.executor,
        )
    )


def _controller(home: Installation, databases: Databases, ports: Ports, cluster: Cluster) -> None:
    from aegis.controller.process import run
    from aegis.controller.settings import ControllerSettings

    run(
        ControllerSettings.read(
            {},
            database_url=databases.control,
            engine_url=f"http://{HOST}:{ports.engine}",
            executor_url=f"http://{HOST}:{ports.executor}",
            prometheus_url=cluster.prometheus,
            prometheus_token_file=cluster.prometheus_token_file,
            namespaces=cluster.namespaces,
            hmac_key_files=",".join(map(str, home.keys.hmac)),
            decision_key_file=home.keys.decision_private,
            audit_key_file=home.keys.audit_private,
            witness_file=home.witness,
        )
    )


def _api(home: Installation, databases: Databases, ports: Ports, cluster: Cluster, sandbox: bool) -> None:
    from aegis.api.process import run
    from aegis.api.settings import ApiSettings

    run(
        ApiSettings.read(
            {},
            database_url=databases.control,
            engine_url=f"http://{HOST}:{ports.engine}",
            port=ports.api,
            bootstrap_token_file=home.bootstrap_token,
            audit_public_key_file=home.keys.audit_public,
            sandbox=sandbox,
        )
    )


def _sandbox(home: Installation, ports: Ports) -> None:
    from aegis.sandbox.process import run
    from aegis.sandbox.settings import SandboxSettings

    run(SandboxSettings.read({}, data_dir=home.sandbox, api_port=ports.kube, port=ports.metrics))


def _sandbox_cluster(home: Installation, ports: Ports) -> Cluster:
    base = f"http://{HOST}:{ports.metrics}"
    return Cluster(f"{base}/prometheus", None, home.sandbox / "executor-kubeconfig", "shop,batch")


def _real_cluster(
    prometheus: str | None,
    token_file: Path | None,
    kubeconfig: Path | None,
    namespaces: str | None,
    *,
    no_sandbox: bool,
) -> Cluster | None:
    given = {"--prometheus": prometheus, "--kubeconfig": kubeconfig, "--namespaces": namespaces}
    missing = [name for name, value in given.items() if not value]
    if prometheus and kubeconfig and namespaces:
        if not kubeconfig.is_file():
            raise Invalid("kubeconfig_missing", f"{kubeconfig} is no file.")
        return Cluster(prometheus, token_file, kubeconfig.absolute(), namespaces)
    if len(missing) < len(given) or no_sandbox:
        raise Invalid("cluster_incomplete", f"a real cluster needs {' and '.join(missing)} too.")
    return None


def _reset(home: Installation, *, yes: bool) -> None:
    if not yes and not typer.confirm(f"Delete everything in {home.root} (database, keys, history)?"):
        raise typer.Abort
    if os.environ.get("DATABASE_URL"):
        _say("DATABASE_URL names a server of yours: its data is left as it is.")
    if home.root.exists():
        home.wipe()


def _check_ports(wanted: Ports, *, sandbox: bool) -> Ports:
    """Every port bound and let go again, before anything is started; 0 becomes a free one."""
    from aegis.kit.serving import bind

    def free(number: int, option: str) -> int:
        deadline = time.monotonic() + PORT_PATIENCE_SECONDS
        while True:
            try:
                listener = bind(HOST, number)
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise Unavailable(error.code, error.message, hint=_other_port(option)) from None
                time.sleep(0.1)
            else:
                chosen: int = listener.getsockname()[1]
                listener.close()
                return chosen

    return Ports(
        free(wanted.api, "--port"),
        free(wanted.engine, "--engine-port"),
        free(wanted.executor, "--executor-port"),
        free(wanted.kube, "--kube-port") if sandbox else 0,
        free(wanted.metrics, "--metrics-port") if sandbox else 0,
    )


def _other_port(option: str) -> str:
    return f"Stop what uses it, or take a free one: aegis up {option} 0, or make up UP_FLAGS='{option} 0'."


def _databases(home: Installation) -> Databases:
    """Servers of the user's where URLs are given; otherwise one of our own with a database and a role for each."""
    control, executor = os.environ.get("DATABASE_URL"), os.environ.get("EXECUTOR_DATABASE_URL")
    if control and executor:
        if control == executor:
            raise Conflict("databases_same", "DATABASE_URL and EXECUTOR_DATABASE_URL must name two databases.")
        return Databases(control, executor, None)
    from aegis.storage.embedded import EmbeddedPostgres

    server = EmbeddedPostgres(home.postgres).start()
    return Databases(
        control or server.create_database("aegis"), executor or server.create_database("aegis_executor"), server
    )


def _mind_database(databases: Databases) -> None:
    """The embedded server is a part too: it is started again when it went away."""
    server = databases.server
    if server is not None and server.pid is None:
        _say("  database stopped; starting it again")
        server.stop()
        server.start()


def _let_go(home: Installation, databases: Databases) -> None:
    home.release()
    if databases.server is not None:
        databases.server.let_go()


def _quiet_libraries() -> None:
    """One thread per library and two heaps per process: forking needs the first, small memory both."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    mallopt: Callable[[int, int], int] | None = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/health/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _nobody_yet(databases: Databases) -> bool:
    from aegis.storage import users
    from aegis.storage.database import Database

    database = Database(databases.control)
    try:
        with database.begin() as connection:
            return not users.anybody(connection)
    finally:
        database.close()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
