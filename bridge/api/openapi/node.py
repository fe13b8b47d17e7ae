"""Building blocks of an OpenAPI document."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]


def reference(name: str, of: str = "schemas") -> Node:
    """A reference to a component of the document."""
    return {"$ref": f"#/components/{of}/{name}"}
