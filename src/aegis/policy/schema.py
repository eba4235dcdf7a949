"""The JSON Schema of policy documents, generated from the models, for editors, the command line and the API.

It says everything that a schema can say; what relates two fields (a DENY has no obligations, a rate needs `per`) is
said by `documents.validate` alone.
"""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from typing import Any

from aegis.policy.documents import Policy

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """A fresh copy; the same bytes in every process."""
    return deepcopy(_schema())


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    schema = Policy.model_json_schema(by_alias=True, mode="validation")
    _without_nulls(schema)
    _flat_comparison(schema["$defs"])
    return {"$schema": DIALECT, "title": "Aegis policy", **{key: one for key, one in schema.items() if key != "title"}}


def _flat_comparison(definitions: dict[str, Any]) -> None:
    """A condition is one of its forms; a comparison is written flat, without a name of its own."""
    condition = definitions["Condition"]
    forms = {name: form for name, form in condition["properties"].items() if name != "compare"}
    definitions["Condition"] = {
        "description": condition["description"],
        "oneOf": [
            *(
                {"type": "object", "properties": {name: form}, "required": [name], "additionalProperties": False}
                for name, form in forms.items()
            ),
            {"$ref": "#/$defs/Attr"},
        ],
    }


def _without_nulls(part: Any) -> None:
    """A field without a value is left out, so `null` is no alternative and no default."""
    if isinstance(part, list):
        for one in part:
            _without_nulls(one)
        return
    if not isinstance(part, dict):
        return
    for one in part.values():
        _without_nulls(one)
    for name in [name for name, one in part.items() if one is None]:
        del part[name]
    choices = part.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        left = [choice for choice in choices if choice != {"type": "null"}]
        del part["anyOf"]
        part.update(left[0] if len(left) == 1 else {"anyOf": left})
