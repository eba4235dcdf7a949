"""`aegis sandbox`: run the simulated cluster, start and stop faults in it, and see its true state."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console

from aegis.cli import tables
from aegis.cli.tables import console
from aegis.cli.terminal import print_json, visible
from aegis.kit.errors import Conflict, Invalid, NotFound, Unavailable

app = typer.Typer(help="A simulated cluster with faults, behind the real protocols.", no_args_is_help=True)
fault = typer.Typer(help="Start, stop and list faults.", no_args_is_help=True)
app.add_typer(fault, name="fault")

Url = Annotated[str, typer.Option(envvar="AEGIS_SANDBOX_URL", help="The sandbox's control address.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DEFAULT = "http://127.0.0.1:9490"
OWN_DATA = Path(".aegis/sandbox")


def _ask(method: str, url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    try:
        response = httpx2.request(method, f"{url.rstrip('/')}{path}", json=body, timeout=60.0, trust_env=False)
    except httpx2.HTTPError as error:
        hint = "Start it with: aegis up (or aegis sandbox run)"
        raise Unavailable(
            "sandbox_unreachable", f"{url} does not answer ({type(error).__name__}).", hint=hint
        ) from None
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        hint = "Something else listens there: name the sandbox's control address with --url."
        raise Unavailable("sandbox_foreign", f"what answers at {url} is no sandbox.", hint=hint)
    if response.is_success:
        return document
    kinds = {400: Invalid, 404: NotFound, 409: Conflict}
    kind = kinds.get(response.status_code, Unavailable)
    detail = document.get("detail", f"the sandbox answered {response.status_code}")
    raise kind(document.get("code", ""), detail, field=document.get("field"), hint=document.get("hint"))


@app.command()
def run(
    data_dir: Annotated[Path, typer.Option(help="Where state, certificate and kubeconfigs live.")] = OWN_DATA,
    api_port: Annotated[int, typer.Option(min=0, max=65535, help="Kubernetes API (https).")] = 6440,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Prometheus, Loki and control (http).")] = 9490,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 7,
) -> None:
    """Serve the simulated cluster until Ctrl-C (`aegis up` does this for you)."""
    from aegis.sandbox.process import run as serve
    from aegis.sandbox.settings import SandboxSettings

    serve(SandboxSettings.read(data_dir=data_dir, api_port=api_port, port=port, seed=seed))


@app.command()
def state(url: Url = DEFAULT, as_json: Json = False) -> None:
    """Workloads, running faults and the newest sample."""
    found = _ask("GET", url, "/sandbox/state")
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(f"now {found['now']}  newest sample {found['newest_sample']}", markup=False)
    out.print(", ".join(found["workloads"]), markup=False)
    _faults(out, found["faults"])


@app.command("kubectl-config")
def kubectl_config(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="The sandbox's data directory. Default: that of aegis up or of aegis sandbox run."),
    ] = None,
) -> None:
    """Print the line that points kubectl at the sandbox: eval "$(aegis sandbox kubectl-config)"."""
    from aegis.cli.installation import default_root  # brings the keys' cryptography with it

    places = [default_root() / "sandbox", OWN_DATA] if data_dir is None else [data_dir]
    paths = [place.absolute() / "kubeconfig" for place in places]
    there = [path for path in paths if path.exists()]
    if not there:
        hint = "Start the sandbox first, or name its --data-dir: below the one that aegis up printed it is sandbox."
        raise NotFound("no_kubeconfig", f"there is no {' and no '.join(map(str, paths))}.", hint=hint)
    newest = max(there, key=lambda path: path.stat().st_mtime)  # each start writes it anew
    sys.stdout.write(f"export KUBECONFIG={shlex.quote(str(newest))}{os.linesep}")


@fault.command("start")
def start(
    kind: Annotated[str, typer.Argument(help="One of `aegis sandbox fault kinds`.")],
    workload: Annotated[str | None, typer.Argument(help="e.g. cart; each fault has a default.")] = None,
    strength: Annotated[float, typer.Option(min=0.1, max=5.0, help="1 is the fault as described.")] = 1.0,
    url: Url = DEFAULT,
    as_json: Json = False,
) -> None:
    """Start a fault now."""
    body = {"kind": kind, "strength": strength} | ({"workload": workload} if workload else {})
    made = _ask("POST", url, "/sandbox/faults", body)
    if as_json:
        print_json(made)
        return
    out = console()
    out.print(f"{made['id']}: {made['kind']} on {made['workload']}: {made['describes']}.", markup=False)
    out.print(f"What heals it: {made['cure']}.", markup=False)


@fault.command("stop")
def stop(fault_id: Annotated[str, typer.Argument()], url: Url = DEFAULT, as_json: Json = False) -> None:
    """Stop a fault; what it changed in the cluster is taken back."""
    made = _ask("DELETE", url, f"/sandbox/faults/{fault_id}")
    print_json(made) if as_json else console().print(f"{made['id']} stopped.", markup=False)


@fault.command("list")
def list_running(url: Url = DEFAULT, as_json: Json = False) -> None:
    """Faults that run now."""
    found = _ask("GET", url, "/sandbox/faults")["running"]
    print_json(found) if as_json else _faults(console(), found)


@fault.command("kinds")
def kinds(url: Url = DEFAULT, as_json: Json = False) -> None:
    """Every fault there is, and what heals it."""
    found = _ask("GET", url, "/sandbox/faults")["kinds"]
    if as_json:
        print_json(found)
        return
    rows = [(one["kind"], one["default_target"], one["describes"], one["cure"]) for one in visible(found)]
    names = ("kind", "default target", "what happens", "what heals it")
    tables.show(console(), names, rows, text=names[2:])


def _faults(out: Console, found: list[dict[str, Any]]) -> None:
    if not found:
        out.print("No fault is running.")
        return
    rows = [(one["id"], one["kind"], one["workload"], one["started_at"], one["cure"]) for one in visible(found)]
    tables.show(out, ("id", "kind", "workload", "since", "what heals it"), rows, text=("what heals it",))
