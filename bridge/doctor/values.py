"""Reads values as Dapr reads them: Go durations, numbers and booleans written as text, and the metadata of a component."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from bridge import durations
from bridge.doctor.document import ConfigDocument

PLACEHOLDER = re.compile(
    r"^[<\[{].*[>\]}]$|^\W*$|\*{3}|<[^<>=]+>|\{[A-Za-z_]+\}|\$\{|\$\(|\{\{|#\{|\[:?password\]|^%.+%$|^(?-i:[A-Z][A-Z0-9]*(_[A-Z0-9]+)+)$",
    re.IGNORECASE,
)
"""What is filled in before or while it is deployed, such as `<password>` or `${PASSWORD}`."""
_TRUTHS = ("true", "1", "yes", "y", "on", "t")
_UNTRUTHS = ("false", "0", "no", "n", "off", "f")


def go_duration(value: Any) -> timedelta | None:
    """A Go duration, or a bare number, which Dapr reads as milliseconds; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if text.lstrip("-").isdigit():
        return timedelta(milliseconds=int(text))
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    if {"d", "P"} & set(text):
        return None
    try:
        return sign * durations.parse(text)
    except ValueError:
        return None


def number(value: Any) -> int | None:
    """A whole number, which may be written as text; None for anything else."""
    text = str(value).strip()
    return int(text) if not isinstance(value, bool) and text.lstrip("-").isdigit() and len(text) < 20 else None


def is_true(value: Any) -> bool:
    """Whether Dapr reads the value as true."""
    return value is True or str(value).strip().lower() in _TRUTHS


def is_truth(value: Any) -> bool:
    """Whether the value is one of the words for true or false. Dapr reads every other word as false."""
    return isinstance(value, bool) or str(value).strip().lower() in (*_TRUTHS, *_UNTRUTHS)


def component_type(document: ConfigDocument) -> str:
    """The type of a component; empty for every other kind."""
    kind = document.get("spec", "type") if document.kind == "Component" else None
    return kind.lower() if isinstance(kind, str) else ""


def metadata(document: ConfigDocument) -> Iterator[tuple[int, str]]:
    """The metadata names of a component, each with its index in the list."""
    for index, each in document.items("spec", "metadata"):
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            yield index, each["name"]


def metadata_text(document: ConfigDocument, name: str) -> str | None:
    """The value of a metadata entry, whatever the letter case of its name; None if the file has no value for it."""
    for index, each in metadata(document):
        value = document.get("spec", "metadata", index, "value")
        if each.lower() == name.lower() and value is not None:
            return str(value).lower() if isinstance(value, bool) else str(value)
    return None


def metadata_place(document: ConfigDocument, name: str) -> tuple[str | int, ...]:
    """The path of a metadata entry; the path of the metadata list if there is no such entry."""
    found = next((index for index, each in metadata(document) if each.lower() == name.lower()), None)
    return ("spec", "metadata") if found is None else ("spec", "metadata", found, "value")
