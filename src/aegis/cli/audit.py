"""`aegis audit`: read, export and check the record through the API.

For operators and auditors; the outsider's tool is `aegis-verify`, which needs nothing of Aegis. Nothing here writes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import aegis_verify
from aegis.cli import tables
from aegis.cli.client import Api
from aegis.cli.tables import console
from aegis.cli.terminal import print_json, visible
from aegis.kit.errors import Invalid

app = typer.Typer(no_args_is_help=True, help="Read, export and check the record.")
Json = Annotated[bool, typer.Option("--json", help="Print the API's JSON instead of a table.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="A file; standard output when not given.")]


@app.command("list")
def list_entries(
    q: Annotated[str | None, typer.Option("--search", "-q", help="Only entries whose text holds this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    evaluations: Annotated[bool, typer.Option("--evaluations", help="Also the roots of policy evaluations.")] = False,
    as_json: Json = False,
) -> None:
    """The newest entries, newest first; `aegis policy audit` shows what policy was asked."""
    with Api() as api:
        page = api.get("/audit", limit=limit, q=q, evaluations=evaluations or None)
    if as_json:
        print_json(page)
        return
    _listed(console(), visible(page["items"]))


@app.command()
def show(
    position: Annotated[int, typer.Argument(min=0, help="The number of the entry, as in the list and in incidents.")],
    as_json: Json = False,
) -> None:
    """One entry with all it holds, and the tree in which it is proven to be."""
    with Api() as api:
        found = api.get(f"/audit/{position}")
    if as_json:
        print_json(found)
        return
    _listed(console(), visible([found]))
    print_json(found["entry"]["data"])
    proof = found["inclusion"]
    console().print(f"leaf {found['leaf']}\nroot {proof['root']} of {proof['size']} entries", markup=False)


def _listed(out: Console, items: list[dict[str, Any]]) -> None:
    """`items` made visible; why something was done or refused is in most of them."""
    rows = []
    for item in items:
        entry, data = item["entry"], item["entry"]["data"]
        at = entry["at"][:19].replace("T", " ")
        why = str(data.get("reason") or data.get("sentence") or data.get("code") or "")
        rows.append((str(item["position"]), at, entry["kind"], entry["actor"], entry["subject"], why))
    tables.show(out, ("#", "at (UTC)", "what", "who", "about", "why"), rows, text=("why",))


@app.command()
def export(output: Output = None) -> None:
    """Every entry, one a line, with the very bytes that were hashed."""
    with Api() as api:
        _write(api.text("/audit/export"), output)


@app.command()
def checkpoints(output: Output = None) -> None:
    """The signed checkpoints the database holds, one a line. A witness outside the database is worth more."""
    with Api() as api:
        items = api.get("/audit/checkpoints")["items"]
    lines = [json.dumps({"checkpoint": item["note"]}, ensure_ascii=False) for item in items]
    _write("".join(f"{line}\n" for line in lines), output)


@app.command()
def key(output: Output = None) -> None:
    """The public key line that `aegis-verify` takes."""
    with Api() as api:
        _write(api.get("/audit/key")["vkey"] + "\n", output)


@app.command()
def verify(
    witness: Annotated[
        Path | None, typer.Option(help="Checkpoints kept outside the database; without it, the database's own.")
    ] = None,
    key_file: Annotated[Path | None, typer.Option("--key", help="The public key line; else the API's.")] = None,
) -> None:
    """Export the record and check it with `aegis-verify`; names the first bad entry. Exit code 1 when there is one."""
    with tempfile.TemporaryDirectory(prefix="aegis-verify-") as directory:
        log, marks, line = (Path(directory) / name for name in ("export.ndjson", "checkpoints.ndjson", "audit.vkey"))
        # The log grows meanwhile: what is checked has to cover the checkpoints, so the checkpoints are taken first.
        checkpoints(marks) if witness is None else _copy(witness, marks)
        export(log)
        if key_file is None:
            key(line)
        code = aegis_verify.main([str(log), "--checkpoints", str(marks), "--key", str(key_file or line)])
    raise typer.Exit(code)


def _copy(witness: Path, to: Path) -> None:
    try:
        to.write_bytes(witness.read_bytes())
    except OSError as error:
        raise Invalid("witness_unreadable", f"{witness} cannot be read ({error.strerror})") from None


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Invalid("output_unwritable", f"{output} cannot be written ({error.strerror})") from None
