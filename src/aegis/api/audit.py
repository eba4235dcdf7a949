"""The record over HTTP: entries, proof that one is in the log, the export, checkpoints and the key that checks them.

Read only. Long answers are sent in pieces, each read in a transaction of its own, so that a slow reader holds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from aegis.api.access import needs
from aegis.api.deps import V1, Deps
from aegis.kit.clock import rfc3339
from aegis.storage import audit
from aegis.storage.audit import Recorded, SignedCheckpoint

PIECE = 1000
Position = Annotated[int, Path(ge=0, le=2**53)]


class EntryAnswer(BaseModel):
    """`entry` is the document whose canonical bytes were hashed into `leaf`."""

    position: int
    entry: dict[str, Any]
    leaf: str
    recorded_at: datetime


class EntryPage(BaseModel):
    items: list[EntryAnswer]
    next_before: int | None


class InclusionAnswer(BaseModel):
    """RFC 9162 proof under the tree of `size` entries; `note` is the signed checkpoint of it, where there is one."""

    size: int
    root: str
    proof: list[str]
    note: str | None


class ProvenEntry(EntryAnswer):
    inclusion: InclusionAnswer


class CheckpointAnswer(BaseModel):
    size: int
    root: str
    note: str
    signed_at: datetime


class CheckpointList(BaseModel):
    items: list[CheckpointAnswer]


class KeyAnswer(BaseModel):
    vkey: str


def add_routes(app: FastAPI, deps: Deps) -> None:
    @app.get(f"{V1}/audit", dependencies=[needs("audit:read")])
    def page(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
        q: Annotated[str | None, Query(max_length=200)] = None,
        evaluations: bool = False,
    ) -> EntryPage:
        """Newest first; `q` keeps entries whose text holds it.

        Each call of the API leaves a root of policy evaluations, shown only with `evaluations`.
        """
        with deps.database.begin() as conn:
            found = audit.entries(conn, before=before, limit=limit + 1, q=q or None, evaluations=evaluations)
        shown = found[:limit]
        more = len(found) > limit
        return EntryPage(items=[_entry(one) for one in shown], next_before=shown[-1].position if more else None)

    @app.get(f"{V1}/audit/export", dependencies=[needs("audit:read")], response_class=StreamingResponse)
    def export() -> StreamingResponse:
        """Every ordered entry, one a line, with the very bytes that were hashed."""
        headers = {"Content-Disposition": 'attachment; filename="aegis-audit.ndjson"'}
        return StreamingResponse(_lines(deps), media_type="application/x-ndjson", headers=headers)

    @app.get(f"{V1}/audit/checkpoints", dependencies=[needs("audit:read")], response_model=CheckpointList)
    def checkpoints() -> StreamingResponse:
        """Every signed checkpoint, smallest first."""
        return StreamingResponse(_checkpoint_list(deps), media_type="application/json")

    @app.get(f"{V1}/audit/key", dependencies=[needs("audit:read")])
    def key() -> KeyAnswer:
        """The public key line that `aegis-verify` takes. A copy kept elsewhere is worth more."""
        return KeyAnswer(vkey=deps.audit_vkey)

    @app.get(f"{V1}/audit/{{position}}", dependencies=[needs("audit:read")])
    def one(position: Position) -> ProvenEntry:
        """One entry, with the proof that it is in the log."""
        with deps.database.begin() as conn:
            entry = audit.get(conn, position)
            proof = audit.inclusion(conn, position)
        inclusion = InclusionAnswer(
            size=proof.size, root=proof.root.hex(), proof=[node.hex() for node in proof.proof], note=proof.note
        )
        return ProvenEntry(**dict(_entry(entry)), inclusion=inclusion)


def _entry(one: Recorded) -> EntryAnswer:
    document = json.loads(one.entry.canonical())
    return EntryAnswer(position=one.position, entry=document, leaf=one.leaf.hex(), recorded_at=one.recorded_at)


def _lines(deps: Deps) -> Iterator[bytes]:
    after = -1
    while True:
        with deps.database.begin() as conn:
            piece = list(audit.export(conn, after=after, limit=PIECE))
        yield b"".join(piece)
        if len(piece) < PIECE:
            return
        after += PIECE  # positions have no gaps


def _checkpoint_list(deps: Deps) -> Iterator[str]:
    after, separator = -1, ""
    yield '{"items":['
    while True:
        with deps.database.begin() as conn:
            piece = audit.checkpoints(conn, after=after, limit=PIECE)
        for one in piece:
            yield separator + json.dumps(_checkpoint(one), ensure_ascii=False)
            separator = ","
        if len(piece) < PIECE:
            break
        after = piece[-1].size
    yield "]}"


def _checkpoint(one: SignedCheckpoint) -> dict[str, Any]:
    return {"size": one.size, "root": one.root.hex(), "note": one.note, "signed_at": rfc3339(one.signed_at)}
