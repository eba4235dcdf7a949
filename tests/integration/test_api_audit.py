"""The record over HTTP: entries, proofs that hold, an export of the very bytes, and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.integration.support_api import Api, problem, running_api

import aegis_verify
from aegis.audit.checkpoint import Signer
from aegis.audit.entry import Entry
from aegis.audit.tree import verify_inclusion
from aegis.storage import audit
from aegis.storage.embedded import EmbeddedPostgres
from aegis.storage.sequencer import Sequencer

pytestmark = pytest.mark.integration
COUNT = 1205  # more than one piece of the export


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


@pytest.fixture(scope="module")
def api(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Iterator[Api]:
    """An API over a log of numbered entries, checkpointed halfway and at the end, with one entry not ordered yet."""
    directory = tmp_path_factory.mktemp("audit-api")
    with running_api(postgres, directory, vkey=signer.verifier.vkey) as made:
        made.everybody()
        sequencer = Sequencer(made.database, signer, made.clock)
        sequencer.run_once()
        for half in range(2):
            with made.database.begin() as conn:
                for number in range(COUNT // 2):
                    subject = f"subject-{half * (COUNT // 2) + number}"
                    audit.append(conn, Entry("test:counted", made.clock.now(), "aegis", subject, {"note": "100%_ä"}))
            sequencer.checkpoint()
        with made.database.begin() as conn:
            audit.append(conn, Entry("test:waiting", made.clock.now(), "aegis", "not-ordered"))
        yield made


def test_entries_are_paged_newest_first_without_gaps(api: Api) -> None:
    auditor = api.as_("auditor")
    seen: list[int] = []
    before = ""
    while True:
        page = auditor.get(f"/audit?limit=500{before}").json()
        seen += [item["position"] for item in page["items"]]
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']}"
    assert seen == list(range(len(seen) - 1, -1, -1))
    assert len(seen) > COUNT - 2
    newest = auditor.get("/audit?limit=1").json()["items"][0]
    assert newest["entry"]["subject"] == f"subject-{2 * (COUNT // 2) - 1}"
    assert set(newest["entry"]) == {"v", "kind", "at", "actor", "subject", "data"}


@pytest.mark.parametrize(
    ("q", "found"), [('subject-77"', 1), ('SUBJECT-77"', 1), ("100%_ä", 5), ("100x_", 0), ("test:waiting", 0), ("'", 0)]
)
def test_search_takes_text_as_it_is(api: Api, q: str, found: int) -> None:
    items = api.as_("auditor").get("/audit", params={"limit": 5, "q": q}).json()["items"]
    assert len(items) == found


def test_every_entry_proves_that_it_is_in_the_signed_log(api: Api, signer: Signer) -> None:
    auditor = api.as_("auditor")
    last = auditor.get("/audit?limit=1").json()["items"][0]["position"]
    for position in (0, 1, 600, last):
        item = auditor.get(f"/audit/{position}").json()
        proof = item["inclusion"]
        opened = signer.verifier.open(proof["note"])
        assert (opened.size, opened.root.hex()) == (proof["size"], proof["root"])
        nodes = [bytes.fromhex(node) for node in proof["proof"]]
        leaf = bytes.fromhex(item["leaf"])
        assert verify_inclusion(leaf, position, proof["size"], nodes, bytes.fromhex(proof["root"]))


def test_an_entry_that_is_not_there_is_not_found(api: Api) -> None:
    problem(api.as_("auditor").get("/audit/999999"), 404, "audit_entry_unknown")
    problem(api.as_("auditor").get("/audit/99999999999999999999"), 422, "query_invalid")


def test_what_is_exported_passes_the_outsiders_check(api: Api, tmp_path: Path) -> None:
    auditor = api.as_("auditor")
    export = auditor.get("/audit/export")
    assert export.headers["content-type"] == "application/x-ndjson"
    positions = [json.loads(line)["position"] for line in export.text.splitlines()]
    assert positions == list(range(len(positions)))
    assert len(positions) > 1000
    (tmp_path / "log").write_bytes(export.content)
    marks = auditor.get("/audit/checkpoints").json()["items"]
    assert [mark["size"] for mark in marks] == sorted(mark["size"] for mark in marks)
    assert len(marks) >= 2
    (tmp_path / "marks").write_text("".join(json.dumps({"checkpoint": mark["note"]}) + "\n" for mark in marks))
    (tmp_path / "key").write_text(auditor.get("/audit/key").json()["vkey"] + "\n")
    arguments = [str(tmp_path / "log"), "--checkpoints", str(tmp_path / "marks"), "--key", str(tmp_path / "key")]
    assert aegis_verify.main(arguments) == 0


def test_only_those_who_may_read_the_record_do(api: Api) -> None:
    for path in ("/audit", "/audit/0", "/audit/export", "/audit/checkpoints", "/audit/key"):
        problem(api.as_("viewer", "operator", "approver").get(path), 403, "permission_denied")
