"""Words of the command line as values: `key=value`, files, and points in time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from pydantic_core import from_json

from bridge import durations
from bridge.envelope import timestamp


def build(file: str | None, words: Sequence[str]) -> Any:
    """The input: the JSON in `file` ("-" is standard input), with every `key=value` put over it.

    Raises typer.BadParameter.
    """
    value: Any = _json(file) if file else {}
    if words and not isinstance(value, dict):
        raise typer.BadParameter(f"key=value needs an input that is a JSON object, and {file} holds {type(value).__name__}.")
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{word!r} is not key=value; write it like host=db1, count=5 or pem=@certificate.pem.")
        value[key] = _read(text[1:]) if text.startswith("@") else _scalar(text)
    return value


def moment(text: str, *, ago: bool = False) -> datetime:
    """An RFC 3339 timestamp, or a duration from now such as "5m" (`ago`: back from now). Raises typer.BadParameter."""
    at = timestamp(text)
    if at is not None:
        return at
    try:
        distance = durations.parse(text)
    except ValueError:
        raise typer.BadParameter(f'{text!r} is neither a time such as 2026-01-31T12:00:00Z nor a duration such as "5m".') from None
    return datetime.now(UTC) - distance if ago else datetime.now(UTC) + distance


def token(file: str | None, given: str) -> str:
    """The bearer token, from a file if one is named. Raises typer.BadParameter."""
    found = _read(file).strip() if file else given.strip()
    if not (found.isascii() and found.isprintable()):
        raise typer.BadParameter("the token holds something else than printable ASCII characters.")
    return found


def _scalar(text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text


def _json(file: str) -> Any:
    try:
        return from_json(_read(file), allow_inf_nan=False)
    except ValueError as fault:
        raise typer.BadParameter(f"{file} is not JSON: {fault}.") from None


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except OSError as fault:
        raise typer.BadParameter(f"{file!r} cannot be read: {fault.strerror}. For text that starts with @ write key='\"@…\"'.") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file!r} is not UTF-8 text.") from None
