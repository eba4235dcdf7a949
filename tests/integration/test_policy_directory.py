"""A directory as the source of all policies: applied as one, at start and on change, and nothing else writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from tests.integration.support_api import START, Api, problem, running_api
from tests.integration.support_policies import document

from aegis.api import policy_directory
from aegis.api.policy_directory import PolicyDirectory, read
from aegis.kit.errors import Invalid
from aegis.policy.starter import documents
from aegis.storage import policies
from aegis.storage.embedded import EmbeddedPostgres

pytestmark = pytest.mark.integration
ACCESS = [one for one in documents() if one["id"].startswith("api-")]
SHUT = document("shut", "DENY")


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A link to a folder, replaced as a whole by another one."""
    link = tmp_path / "policies"
    publish(link, "one", [*ACCESS, SHUT])
    return link


def publish(link: Path, name: str, wanted: list[dict[str, Any]], **others: str) -> None:
    version = link.parent / f"version-{name}"
    version.mkdir()
    for one in wanted:
        text = yaml.safe_dump(one) if one["id"] == "shut" else json.dumps(one)
        (version / f"{one['id']}.yaml").write_text(text)
    for file, text in others.items():
        (version / f"{file}.yaml").write_text(text)
    fresh = link.parent / f"link-{name}"
    fresh.symlink_to(version.name)
    fresh.replace(link)


@pytest.fixture
def api(postgres: EmbeddedPostgres, mounted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(policy_directory, "LOOK_SECONDS", 0.02)
    with running_api(postgres, tmp_path, policies=mounted) as made:
        yield made


def until(ask: Callable[[], dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first answer that holds; the directory is looked at fifty times a second here."""
    while not holds(answer := ask()):
        pass
    return answer


def current(client: httpx2.Client) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/policies/set").raise_for_status().json()
    return answer


def test_the_directory_is_all_there_is_in_force_from_the_start(api: Api, mounted: Path) -> None:
    viewer = api.as_("viewer")
    listed = viewer.get("/policies", params={"limit": 200}).json()["items"]
    assert sorted(one["id"] for one in listed if one["state"] == "active") == sorted(
        ["shut", *(one["id"] for one in ACCESS)]
    )
    source = current(viewer)["directory"]
    assert (source["path"], source["problem"], source["drift"]) == (str(mounted), None, [])
    assert source["applied_at"] == START.isoformat().replace("+00:00", "Z")


def test_a_change_of_the_directory_comes_into_force_as_one(api: Api, mounted: Path) -> None:
    viewer = api.as_("viewer")
    before = current(viewer)
    publish(mounted, "two", [*ACCESS, SHUT | {"description": "more"}, document("open")])
    after = until(lambda: current(viewer), lambda now: now["digest"] != before["digest"])
    assert after["epoch"] == before["epoch"] + 1
    assert viewer.get("/policies/open").json()["comment"] == "from the directory policies"
    assert viewer.get("/policies/shut").json()["version"] == 2
    publish(mounted, "three", [*ACCESS])
    until(lambda: current(viewer), lambda now: now["policies"] == len(ACCESS))
    assert viewer.get("/policies/shut").json()["state"] == "disabled"


def test_nothing_else_writes_policies(api: Api) -> None:
    admin = api.as_("admin")
    before = current(admin)
    for answer in (
        admin.post("/policies", json={"document": document("new")}),
        admin.put("/policies/shut", json={"document": SHUT}),
        admin.delete("/policies/shut"),
        admin.put("/policies/set", json={"documents": [SHUT]}),
        *(admin.post(f"/policies/shut/{what}", json={"version": 1}) for what in ("activate", "restore")),
        admin.post("/policies/shut/disable", json={}),
    ):
        problem(answer, 409, "policies_from_directory")
    assert current(admin) == before


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("id: [", "bad.yaml: line 2"),
        (json.dumps(SHUT), "two files have the policy shut"),
        (json.dumps(document("bad", "MAYBE")), "bad.yaml: "),
        ("id: a\nid: b\n", "appears twice"),
        (
            json.dumps({"tests": [{"name": "no", "at": "2026-03-03T12:00:00Z", "expect": "ALLOW", "request": {
                "principal": {"id": "x", "roles": ["aegis"]}, "action": "restart_deployment",
                "resource": "deployment/a/b"}}]}),
            "the test 'no' in bad.yaml fails: ALLOW is expected",
        ),
    ],
)  # fmt: skip
def test_a_directory_that_is_wrong_changes_nothing_and_says_why(api: Api, mounted: Path, file: str, said: str) -> None:
    viewer = api.as_("viewer")
    before = current(viewer)
    publish(mounted, "wrong", [*ACCESS, SHUT, document("open")], bad=file)
    after = until(lambda: current(viewer), lambda now: now["directory"]["problem"] is not None)
    assert said in after["directory"]["problem"]
    assert after["digest"] == before["digest"]
    publish(mounted, "right", [*ACCESS, SHUT, document("open")])
    mended = until(lambda: current(viewer), lambda now: now["digest"] != before["digest"])
    assert mended["directory"]["problem"] is None


def test_a_directory_that_would_lock_everybody_out_changes_nothing(api: Api, mounted: Path) -> None:
    viewer, _ = api.as_("viewer"), api.as_("admin")
    before = current(viewer)
    publish(mounted, "closed", [SHUT])
    after = until(lambda: current(viewer), lambda now: now["directory"]["problem"] is not None)
    assert "nobody could change policies" in after["directory"]["problem"]
    assert after["digest"] == before["digest"]
    assert {one["what"] for one in after["directory"]["drift"]} == {"disable"}


def test_what_differs_from_the_directory_is_shown(api: Api) -> None:
    viewer = api.as_("viewer")
    with api.database.begin() as conn:  # an Aegis that knows of no directory
        policies.save(conn, SHUT | {"description": "by hand"}, by="eve", comment="", now=START)
        policies.save(conn, document("extra"), by="eve", comment="", now=START)
    drift = current(viewer)["directory"]["drift"]
    assert [(one["id"], one["what"], one["from_version"]) for one in drift] == [
        ("extra", "disable", 1),
        ("shut", "update", 2),
    ]


def test_an_empty_or_missing_directory_takes_nothing_out_of_force(api: Api, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path / "empty"):
        if path.name == "empty":
            path.mkdir()
        with api.database.begin() as conn:
            before = policies.stamp(conn)
        directory = PolicyDirectory(path, api.database, api.clock)
        directory.take()
        assert directory.status.problem is not None
        with api.database.begin() as conn:
            assert policies.stamp(conn) == before
            assert directory.drift(conn) == []


def test_a_folder_that_leads_back_to_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "shut.json").write_text(json.dumps(SHUT))
    with pytest.raises(Invalid, match="two files have the policy shut"):
        read(tmp_path)


def test_a_mounted_config_map_is_read_once_through_its_links(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "shut.json").write_text(json.dumps(SHUT))
    (tmp_path / "..2026" / "README.md").write_text("not a policy")
    (tmp_path / "..data").symlink_to("..2026")
    for name in ("shut.json", "README.md"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    assert [policy.id for policy in read(tmp_path).policies] == ["shut"]


def test_a_directory_is_taken_only_when_two_looks_saw_the_same(api: Api, tmp_path: Path) -> None:
    folder = tmp_path / "edited"
    folder.mkdir()
    for one in ACCESS:
        (folder / f"{one['id']}.json").write_text(json.dumps(one))
    directory = PolicyDirectory(folder, api.database, api.clock)
    directory.look()
    assert directory.status.applied_at is None
    (folder / "shut.json").write_text(json.dumps(SHUT))
    directory.look()
    assert directory.status.applied_at is None
    directory.look()
    assert directory.status.applied_at == START
    api.clock.advance(60)
    directory.look()
    assert directory.status.applied_at == START
