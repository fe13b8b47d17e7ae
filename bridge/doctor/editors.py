"""JSON Schemas of the bridge's own files, for editors that complete and check YAML."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from bridge import catalog
from bridge.settings import Settings

_SIZES = frozenset(("data_limit", "max_bodies_in_hand"))  #: with all that ends in `_bytes`: "1MiB" is one, too


class EditorSchema(StrEnum):
    """A file format for which there is a schema."""

    CATALOGUE = "catalogue"
    SETTINGS = "settings"


def schema(which: EditorSchema) -> dict[str, Any]:
    """The schema of a file format. It accepts everything that the bridge accepts."""
    found = catalog.document_schema() if which is EditorSchema.CATALOGUE else Settings.model_json_schema(by_alias=True)
    relaxed: dict[str, Any] = _relaxed(found)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **relaxed}


def _relaxed(node: Any) -> Any:
    """Without formats, since a duration of ours is none of ISO 8601, and with the other forms that a value may be written in."""
    if isinstance(node, list):
        return [_relaxed(each) for each in node]
    if not isinstance(node, dict):
        return node
    result = {key: _relaxed(value) for key, value in node.items() if not (key == "format" and isinstance(value, str))}
    for name, each in result.get("properties", {}).items() if isinstance(result.get("properties"), dict) else ():
        if name in _SIZES or name.endswith("_bytes"):
            result["properties"][name] = {**_without_type(each), "type": ["integer", "string"]}
        elif name == "failedWhen":
            result["properties"][name] = {"anyOf": [each, {"$ref": "#/$defs/FailedWhen"}]}
    return result


def _without_type(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in ("type", "anyOf", "exclusiveMinimum")}
