"""Converts arguments of the command line to values: `key=value`, files, and points in time."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from pydantic_core import from_json

from bridge import durations
from bridge.cli import typedwords
from bridge.cli.typedwords import InputSchema
from bridge.cloudevents import timestamp
from bridge.files import textfile


@dataclass(frozen=True)
class WrittenInput:
    """An input as written by the user.

    It consists of a JSON value, and of `key=value` arguments that override it, each with whether its text comes from a file.
    """

    value: Any
    words: Sequence[tuple[str, str, bool]]

    def typed(self, schema: Mapping[str, Any] | None) -> Any:
        """The input. The arguments get the types that the schema asks for. Raises typer.BadParameter."""
        if not self.words:
            return self.value
        types = InputSchema(schema or {})
        try:
            found = {key: typedwords.value(key, text, types.types(key), from_file=from_file) for key, text, from_file in self.words}
        except ValueError as fault:
            raise typer.BadParameter(str(fault)) from None
        return {**self.value, **found}


def read(file: str | None, words: Sequence[str]) -> WrittenInput:
    """The JSON in `file` ("-" is standard input), and every `key=value` that overrides it. Raises typer.BadParameter."""
    value: Any = _json(file) if file else {}
    if words and not isinstance(value, dict):
        raise typer.BadParameter(f"key=value needs an input that is a JSON object, and {file} holds {type(value).__name__}.")
    return WrittenInput(value, [_word(word) for word in words])


def build(file: str | None, words: Sequence[str], schema: Mapping[str, Any] | None = None) -> Any:
    """The input, with the types that the schema asks for. Raises typer.BadParameter."""
    return read(file, words).typed(schema)


def _word(word: str) -> tuple[str, str, bool]:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"{word!r} is not key=value; write it like host=db1, count=5 or pem=@certificate.pem.")
    return (key, _read(text[1:]), True) if text.startswith("@") else (key, text, False)


def moment(text: str, *, ago: bool = False) -> datetime:
    """An RFC 3339 timestamp, or a duration such as "5m" from now (with `ago`: before now). Raises typer.BadParameter."""
    at = timestamp(text)
    if at is not None:
        return at
    try:
        distance = durations.parse(text)
        return datetime.now(UTC) - distance if ago else datetime.now(UTC) + distance
    except ValueError:
        raise typer.BadParameter(f'{text!r} is neither a time such as 2026-01-31T12:00:00Z nor a duration such as "5m".') from None
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too far from now; no calendar has that year.") from None


def token(file: str | None, given: str) -> str:
    """The bearer token, read from a file if one is named. Raises typer.BadParameter."""
    found = _read(file).strip() if file else given.strip()
    if not (found.isascii() and found.isprintable()):
        raise typer.BadParameter("the token holds something else than printable ASCII characters.")
    return found


def _json(file: str) -> Any:
    try:
        return from_json(_read(file), allow_inf_nan=False)
    except ValueError as fault:
        raise typer.BadParameter(f"{file} is not JSON: {fault}.") from None


def _read(file: str) -> str:
    try:
        return textfile.decode(sys.stdin.buffer.read()) if file == "-" else textfile.read(Path(file))
    except OSError as fault:
        raise typer.BadParameter(f"{file!r} cannot be read: {fault.strerror}. For text that starts with @ write key='\"@…\"'.") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file!r} is not text in UTF-8, nor in UTF-16 with a byte order mark.") from None
