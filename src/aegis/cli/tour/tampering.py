"""Chapter 4: the owner of the database edits one row of the audit log, and an outsider's tool says which."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg
from rich.text import Text

import aegis_verify
from aegis.audit.tree import leaf_hash
from aegis.cli.tour.chapter import Chapter, Claim, Told
from aegis.cli.tour.people import ADA
from aegis.cli.tour.scene import Departed, Scene

FORGED = "eve@shop.example"
KIND = "approval:given"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `aegis-verify` said and its exit code."""

    code: int
    sentence: str


def tell(scene: Scene) -> Told:
    scene.system.controller.loop.sequencer.checkpoint()
    scene.happens("record", f"the log is signed; the witness, a file outside the database, is {_witness(scene)}")
    position = _first_approval(scene)
    honest = _verify(scene, "before")
    scene.happens("record", f"aegis-verify: {honest.sentence}")
    scene.narrator.exhibit(f"Entry {position}, as it is", _shown(_stored(scene, position)))
    refused = _refused_update(scene, position)
    scene.happens("record", f"Eve changes who approved it. PostgreSQL says: {refused}")
    _forge(scene, position)
    scene.happens("record", "Eve owns the database: she switches the guard off, edits the row and hashes it anew")
    scene.narrator.exhibit(f"Entry {position}, as it is now", _shown(_stored(scene, position)))
    forged = _verify(scene, "after")
    scene.happens("record", f"aegis-verify: {forged.sentence}")
    facts = {
        "entry": position,
        "kind": KIND,
        "refused": refused,
        "before": {"code": honest.code, "sentence": honest.sentence},
        "after": {"code": forged.code, "sentence": forged.sentence},
    }
    return Told(facts, _claims(position, refused, honest, forged))


def _first_approval(scene: Scene) -> int:
    found = [one for one in scene.people.ada.get("/audit", q=KIND, limit=1000)["items"] if one["entry"]["kind"] == KIND]
    if not found:
        raise Departed("story_departed", "no approval is on record")
    return int(found[-1]["position"])


def _witness(scene: Scene) -> str:
    return scene.system.witness.name


def _verify(scene: Scene, name: str) -> Verdict:
    """Export through the API, then ask the verifier in a Python that sees nothing but its standard library."""
    folder = scene.system.home / "outsider"
    folder.mkdir(exist_ok=True)
    export = folder / f"{name}.ndjson"
    export.write_text(scene.people.ada.text("/audit/export"), encoding="utf-8")
    (folder / "audit.vkey").write_text(scene.people.ada.get("/audit/key")["vkey"] + "\n")
    command = [sys.executable, "-I", str(Path(aegis_verify.__file__)), export.name]
    command += ["--checkpoints", str(scene.system.witness), "--key", "audit.vkey"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    return Verdict(done.returncode, (done.stdout or done.stderr).strip())


def _stored(scene: Scene, position: int) -> bytes:
    with psycopg.connect(scene.system.control_url) as connection:
        row = connection.execute("SELECT entry FROM audit_entries WHERE position = %s", [position]).fetchone()
    if row is None:
        raise Departed("story_departed", f"entry {position} is gone")
    return bytes(row[0])


def _shown(entry: bytes) -> Text:
    text = Text(entry.decode(), overflow="fold")
    text.highlight_words([ADA, FORGED], style="bold yellow")
    return text


def _forged(entry: bytes) -> bytes:
    return entry.replace(f'"{ADA}"'.encode(), f'"{FORGED}"'.encode())


def _refused_update(scene: Scene, position: int) -> str:
    """What PostgreSQL answers to the application's own role."""
    forged = _forged(_stored(scene, position))
    try:
        with psycopg.connect(scene.system.control_url) as connection:
            connection.execute("UPDATE audit_entries SET entry = %s WHERE position = %s", [forged, position])
    except psycopg.errors.InsufficientPrivilege as refused:
        return str(refused.diag.message_primary)
    return ""


def _forge(scene: Scene, position: int) -> None:
    """Everything that a careful forger with the database's rights can do to one row."""
    forged = _forged(_stored(scene, position))
    with psycopg.connect(scene.system.control_url) as connection:
        connection.execute("ALTER TABLE audit_entries DISABLE TRIGGER USER")
        connection.execute(
            "UPDATE audit_entries SET entry = %s, leaf = %s WHERE position = %s", [forged, leaf_hash(forged), position]
        )
        connection.execute("ALTER TABLE audit_entries ENABLE TRIGGER USER")


def _claims(position: int, refused: str, honest: Verdict, forged: Verdict) -> list[Claim]:
    named = f"TAMPERED: entry {position} is not the entry that was witnessed there"
    return [
        Claim("the untouched log checks out", honest.code == aegis_verify.OK),
        Claim("PostgreSQL refuses the change to the application", bool(refused)),
        Claim(f"the verifier names entry {position}", forged == Verdict(aegis_verify.BAD, named)),
    ]


CHAPTER = Chapter(
    "Tampering: one row is edited, and you are told which",
    "Everything above is on record. Eve owns the database and wants the record to say that she approved chapter 1. An "
    "outsider with the exported log, the witness's checkpoints and the public key checks it, without any Aegis.",
    tell,
)
