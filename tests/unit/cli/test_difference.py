"""What a person approves is seen whole: down to the leaf that changes, with its old and its new value."""

from __future__ import annotations

from typing import Any

from aegis.cli.difference import leaves, told


def container(image: str, **more: Any) -> dict[str, Any]:
    return {"name": "search", "image": image, "ports": [{"containerPort": 8080}], **more}


def replace(path: str, old: Any, new: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "from": old, "to": new}


def test_of_two_revisions_the_image_is_told_and_not_the_whole_list_of_containers() -> None:
    env = [{"name": f"SETTING_{number}", "value": "x" * 40} for number in range(20)]
    step = replace("/spec/containers", [container("search:1.1-crash", env=env)], [container("search:1.0", env=env)])
    assert [told(leaf) for leaf in leaves([step])] == [
        ['replace /spec/containers/search/image: "search:1.1-crash" → "search:1.0"']
    ]


def test_what_is_added_and_removed_is_named() -> None:
    step = replace(
        "/containers", [container("a", args=["--slow"])], [container("a", command=["run"]), {"name": "proxy"}]
    )
    assert [line for leaf in leaves([step]) for line in told(leaf)] == [
        'remove /containers/search/args: ["--slow"]',
        'add /containers/search/command: ["run"]',
        'add /containers/proxy: {"name": "proxy"}',
    ]


def test_lists_without_names_go_by_place_and_another_kind_of_value_is_a_change() -> None:
    assert leaves([replace("/args", ["a", "b"], ["a", "c"])]) == [replace("/args/1", "b", "c")]
    assert leaves([replace("/x", [1], {"a": 1})]) == [replace("/x", [1], {"a": 1})]
    (leaf,) = leaves([replace("/on", 1, new=True)])
    assert leaf["to"] is True


def test_a_mere_change_of_order_is_not_hidden() -> None:
    one, two = {"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}
    assert leaves([replace("/env", [one, two], [two, one])]) == [replace("/env", [one, two], [two, one])]


def test_long_values_get_a_line_each_so_that_the_new_one_is_always_seen() -> None:
    assert told(replace("/note", "a" * 300, "b" * 300)) == [
        "replace /note",
        f'  - "{"a" * 300}"',
        f'  + "{"b" * 300}"',
    ]
    assert told(replace("/note", "a" * 5000, "new"))[1].endswith("… (whole with --json)")


def test_names_from_outside_do_nothing_to_the_terminal() -> None:
    (leaf,) = leaves([replace("/labels", {"x\x1b[8m\u202e": 1}, {"x\x1b[8m\u202e": 2})])
    assert not {"\x1b", "\u202e"} & set("".join(told(leaf)))
    assert not {"\x1b", "\u202e"} & set("".join(told(replace("/labels", 1, {"x\x1b\u202e": 2}))))
