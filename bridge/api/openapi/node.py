"""What an OpenAPI document is made of."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]


def reference(name: str, of: str = "schemas") -> Node:
    """To a component of the document, of that kind."""
    return {"$ref": f"#/components/{of}/{name}"}
