"""Policies as files: what is read, and how everything that cannot be is told, with exit code 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.support_policy import YAML, aegis, case, policy, risky, write

from aegis.cli.policy.positions import line_of
from aegis.cli.policy.sources import read
from aegis.cli.policy.wording import as_yaml, changed_lines
from aegis.policy import starter
from aegis.policy.documents import validate
from aegis.policy.yaml_text import document_of


def test_a_directory_is_read_with_all_below_it_but_hidden_files(tmp_path: Path) -> None:
    write(tmp_path / "office.yaml", YAML)
    write(tmp_path / "team" / "deny.json", risky())
    write(tmp_path / "team" / "deny.test.yml", {"tests": [case("DENY")]})
    write(tmp_path / "..data" / "office.yaml", YAML)
    write(tmp_path / ".git" / "broken.json", "{")
    write(tmp_path / "README.md", "not a policy")
    sources = read([tmp_path])
    assert sorted(sources.files) == ["never-risky", "office-hours"]
    assert [one.source for one in sources.cases] == [str(tmp_path / "team" / "deny.test.yml")]


def test_a_mounted_config_map_is_read_through_its_links(tmp_path: Path) -> None:
    write(tmp_path / "..2026" / "office.yaml", YAML)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "office.yaml").symlink_to("..data/office.yaml")
    assert list(read([tmp_path]).files.values()) == [tmp_path / "office.yaml"]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    file = write(tmp_path / "office.yaml", YAML)
    assert len(read([file, tmp_path, file]).policies) == 1


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.yaml", YAML + "id: twice\n", ":21: the key 'id' appears twice. Correct the text there"),
        ("a.yaml", "a: &x 1\n", ":1: anchors are refused: &x."),
        ("a.json", '{\n "apiVersion": oops\n}', ":2: Expecting value. Correct the text there."),
        ("a.json", policy("a", effect="MAYBE"), ":4 (at /effect): "),
        ("a.json", policy("a", surprise=1), "(at /surprise): Extra inputs are not permitted. The format: aegis policy"),
        ("a.json", policy("prоd"), ":3 (at /id): "),
        ("a.json", {"tests": [case("MAYBE")]}, "(at /tests/0/expect): "),
        ("a.json", {"tests": []} | {"id": "a"}, "(at /apiVersion): "),
        ("a.yaml", "x" * 70_000, ": at most 65536 bytes are accepted, and they end on line 1. Split it into several"),
        ("a.yaml", "", ": the document is empty."),
        ("a.yaml", "just text", ": "),
        ("a.json", "[" * 100_000, ": "),
        ("a.json", '{"a":' * 10_000, ": nesting deeper than 32"),
        ("a.json", "{" + " " * (2 << 20), ": at most 1048576 bytes are accepted"),
    ],
)
def test_what_cannot_be_read_is_told_with_file_place_rule_and_next_step(
    tmp_path: Path, name: str, content: Any, told: str
) -> None:
    file = write(tmp_path / name, content)
    said = aegis("check", tmp_path)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"aegis: {file}")
    assert told in said.err
    assert said.err.count("\n") == 1


def test_every_bad_file_is_told_at_once(tmp_path: Path) -> None:
    for name in ("a.json", "b.yaml"):
        write(tmp_path / name, policy("a", effect="MAYBE"))
    said = aegis("test", tmp_path, tmp_path / "gone.yaml")
    assert said.code == 2
    assert [line.split(":")[1].strip() for line in said.err.splitlines()] == [
        str(tmp_path / "gone.yaml"),
        str(tmp_path / "a.json"),
        str(tmp_path / "b.yaml"),
    ]


def test_two_policies_of_one_id_are_told_with_both_files(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, risky()) for name in ("a.json", "b.json"))
    said = aegis("check", tmp_path)
    assert said.code == 2
    assert f"{second}:3 (at /id): the id never-risky is taken by {first} already." in said.err


@pytest.mark.parametrize(
    "arguments", [["check"], ["diff"], ["why"], ["nonsense"], ["check", "--fail-on", "never", "x"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert aegis(*arguments).code == 2


def test_an_empty_directory_is_no_set_of_policies(tmp_path: Path) -> None:
    said = aegis("test", tmp_path)
    assert said.code == 2
    assert f"{tmp_path}: there is no policy in it. Policies are files that end in .json, .yaml, .yml." in said.err


def test_a_file_name_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    write(tmp_path / "a\x1b[31m.json", "{")
    said = aegis("check", tmp_path)
    assert said.code == 2
    assert "\x1b" not in said.err


@pytest.mark.parametrize(
    ("pointer", "line"),
    [("/id", 2), ("/conditions/all/1/change", 11), ("/tests/0/request/action", 18), ("/conditions/none", 8)],
)
def test_a_pointer_leads_to_its_line(pointer: str, line: int) -> None:
    assert line_of(YAML, pointer) == line


def test_text_that_is_no_document_has_no_lines() -> None:
    assert line_of("{", "/id") is None
    assert line_of("", "/id") is None
    assert line_of(YAML, "") is None


@pytest.mark.parametrize("document", starter.documents(), ids=lambda one: one["id"])
def test_a_document_written_as_yaml_is_read_back_as_the_same(document: dict[str, Any]) -> None:
    assert document_of(as_yaml(validate(document))) == document


def test_words_that_yaml_readers_disagree_about_are_written_so_that_they_do_not() -> None:
    texts = [
        "yes",
        "Y",
        "NO",
        "08:00",
        "2026-03-03",
        "1e3",
        "null",
        "~",
        "0x10",
        "1_000",
        ".",
        "-0",
        "<<",
        "*x",
        "a: b",
    ]
    labels = {f"l{number}": text for number, text in enumerate(texts)}
    document = validate(policy("words", labels=labels))
    assert validate(document_of(as_yaml(document))).labels == labels


def test_the_order_of_fields_makes_no_difference() -> None:
    document = policy("a", labels={"b": "1", "a": "2"}, tests=[case("ALLOW")])
    turned = {name: document[name] for name in reversed(document)} | {"labels": {"a": "2", "b": "1"}}
    assert changed_lines(validate(document), validate(turned)) == []
    shut = changed_lines(validate(document), validate(turned | {"effect": "DENY"}))
    assert [line for line in shut if line[0] != " "] == ["-effect: ALLOW", "+effect: DENY"]
