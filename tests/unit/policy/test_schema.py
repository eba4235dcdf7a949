"""The JSON Schema says what the models say: generated from them, in the words of the format."""

from __future__ import annotations

import json
import re

from aegis.policy import schema
from aegis.policy.documents import Attr, Policy


def test_every_field_of_the_format_is_in_the_schema_under_the_name_it_is_written_by() -> None:
    found = schema.json_schema()
    written = {field.alias or name for name, field in Policy.model_fields.items()}
    assert set(found["properties"]) == written
    assert set(found["required"]) == {"apiVersion", "id", "effect", "principals", "actions", "resources"}
    assert found["additionalProperties"] is False


def test_a_comparison_is_written_flat_and_null_is_no_value() -> None:
    found = schema.json_schema()
    forms = found["$defs"]["Condition"]["oneOf"]
    assert [form.get("required", form.get("$ref")) for form in forms] == [
        ["all"], ["any"], ["not"], ["time"], ["change"], "#/$defs/Attr",
    ]  # fmt: skip
    assert '"null"' not in json.dumps(found)
    assert "null" not in json.dumps(found)
    assert found["$defs"]["Attr"]["properties"]["op"]["enum"] == list(Attr.model_fields["op"].annotation.__args__)  # type: ignore[union-attr]


def test_patterns_are_regular_expressions_that_say_what_the_validators_say() -> None:
    text = json.dumps(schema.json_schema())
    patterns = [json.loads(f'"{one}"') for one in re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', text)]
    assert len(patterns) > 10
    resource = schema.json_schema()["properties"]["resources"]["items"]["pattern"]
    for pattern in patterns:
        re.compile(pattern)
    assert re.search(resource, "deployment/prod/pay-*")
    assert not re.search(resource, "deployment/../x")


def test_the_schema_is_the_same_bytes_each_time_and_nobody_can_change_it() -> None:
    first = schema.json_schema()
    text = json.dumps(first)
    first["properties"].clear()
    assert json.dumps(schema.json_schema()) == text
