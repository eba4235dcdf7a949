"""`aegis keys`: make an installation's keys, add a second HMAC secret for a rotation, and check all of them.

Run by whoever installs Aegis; `aegis up` makes its own. It prints paths and key ids, never key material.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from aegis.cli.keyring import Keyring
from aegis.kit.errors import Invalid

app = typer.Typer(no_args_is_help=True, help="Make the keys that processes sign with, and check them.")
Directory = Annotated[Path, typer.Argument(help="The directory of the key files.")]


@app.command()
def generate(directory: Directory) -> None:
    """Make every key that is missing; existing files are never touched."""
    ring = Keyring(directory)
    try:
        made = ring.generate()
    except OSError as error:
        raise Invalid("keys_unwritable", f"{directory} cannot be written ({os.strerror(error.errno or 0)})") from None
    ring.check()
    for path in made:
        typer.echo(f"made {path}")
    if not made:
        typer.echo(f"nothing to do: {directory} holds every key")


@app.command()
def rotate(directory: Directory) -> None:
    """Add a second HMAC secret: it signs from the next start on, the old one stays valid until you remove it."""
    fresh = Keyring(directory).rotate_hmac()
    typer.echo(f"made {fresh}: restart executor, then controller; then remove the older hmac-*.key")


@app.command()
def check(directory: Directory) -> None:
    """Refuse weak, published, readable or mismatched keys, by the rules that processes start with."""
    ring = Keyring(directory)
    ring.check()
    typer.echo(
        f"good: {len(ring.hmac)} HMAC secret(s), one decision key, one audit key ({ring.audit_verifier().origin})"
    )
