"""Fields of an input. The bridge checks inputs against the catalogue; a function can be called without the bridge, so it checks too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automations.refusal import Refusal


def text(value: Mapping[str, Any], name: str) -> str:
    """The value of a text field that is required. Raises Refusal `InvalidInput`."""
    found = value.get(name)
    if isinstance(found, str):
        return found
    raise Refusal("InvalidInput", f'`{name}` must be a text, and it is {_kind(found)}. Send {{"{name}": "..."}}.')


def whole(value: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    """The value of a field with a whole number between two limits, or the default if it is absent. Raises Refusal `InvalidInput`."""
    found = value.get(name, default)
    if type(found) is int and least <= found <= most:  # a JSON true is an int to Python
        return found
    shown = found if isinstance(found, int | float) else _kind(found)
    raise Refusal("InvalidInput", f"`{name}` must be a whole number from {least} to {most}, and it is {shown}.")


def one_of(value: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    """The value of a field with one of several texts, or the first of them if it is absent. Raises Refusal `InvalidInput`."""
    found = value.get(name, allowed[0])
    if found in allowed:
        return str(found)
    raise Refusal("InvalidInput", f"`{name}` must be one of {', '.join(map(repr, allowed))}.")


def _kind(found: object) -> str:
    """JSON's name for the type of a value. The value itself is not shown, because it may be a secret in the wrong place."""
    kinds = {type(None): "missing", str: "a text", bool: "true or false", list: "an array", dict: "an object"}
    return kinds.get(type(found), "a number")
