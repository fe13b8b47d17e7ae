"""Prints the output of commands: formatted on a terminal, in plain lines for pipes and files, or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bridge.client.errors import Problem
from bridge.errors import ConfigurationError

_log = logging.getLogger("bridge")

STYLES = {"Succeeded": "green", "Failed": "red", "TimedOut": "red", "Canceled": "yellow", "Canceling": "yellow", "Running": "cyan"}
STYLES |= {"breaks": "red", "not judged": "yellow", "note": "dim"}
_LONGEST = 20_000  #: characters of a value shown to people; `--json` and `--output` give all


@dataclass(frozen=True)
class Screen:
    """Prints results on standard output and everything else on standard error. Rich honours NO_COLOR."""

    as_json: bool = False
    out: Console = field(default_factory=lambda: Console(highlight=False))
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    @property
    def live(self) -> bool:
        """Whether the output is a terminal on which progress can be drawn."""
        return self.err.is_terminal and not self.as_json

    def json(self, value: Any) -> None:
        """Print a value as JSON, in ASCII, so that no pipe can damage it."""
        self.out.file.write(json.dumps(value, indent=2) + "\n")

    def line(self, text: str, style: str = "") -> None:
        """Print one line."""
        self.out.print(Text(clean(text), style), soft_wrap=True)

    def note(self, text: str, style: str = "") -> None:
        """Print a message beside the result."""
        self.err.print(Text(clean(text), style), soft_wrap=True)

    def problems(self, fault: ConfigurationError) -> None:
        """Print each problem of the user's files beside the result."""
        for problem in fault.problems:
            self.note(problem, "red")

    def raw(self, value: bytes) -> None:
        """Write bytes as they are."""
        self.out.file.flush()
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows. A word that is a status has the colour of that status."""
        cells = [[clean(cell) for cell in row] for row in rows]
        if not self.out.is_terminal:
            self._columns([[column.upper() for column in columns], *cells])
            return
        table = Table(*columns, header_style="bold")
        for row in cells:
            table.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in row))
        self.out.print(table)

    def _columns(self, rows: Sequence[Sequence[str]]) -> None:
        flat = [[" ".join(cell.split()) for cell in row] for row in rows]
        widths = [max(len(row[column]) for row in flat) for column in range(len(flat[0]))]
        for row in flat:
            self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def card(self, title: str, facts: Mapping[str, str], value: Any = ...) -> None:
        """Print the named facts that are not empty, and a value below them."""
        facts = {name: fact for name, fact in facts.items() if fact}
        body = "" if value is ... else _cut(clean(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)))
        if not self.out.is_terminal:
            for name, fact in {"": title, **facts}.items():
                self.line(f"{name}: {fact}" if name else fact)
            if body:
                self.line(body)
            return
        grid = Table.grid("", "", padding=(0, 2))
        for name, fact in facts.items():
            grid.add_row(Text(name, "dim"), Text(clean(fact), STYLES.get(fact, "")))
        parts = [grid, Text("\n" + body)] if body else [grid]
        self.out.print(Panel(Group(*parts), title=Text(clean(title), "bold"), title_align="left", expand=False))

    def problem(self, problem: Problem) -> None:
        """Print why the bridge refused a request, with every violation and the hint."""
        if self.as_json:
            shown = {name: getattr(problem, name) for name in ("status", "code", "detail", "hint", "errors")}
            self.err.file.write(json.dumps(shown, indent=2) + "\n")
            return
        self.note(f"{problem.code}: {problem.detail}", "red")
        for violation in problem.errors:
            self.note(f"  {violation.get('pointer') or '/'}: {violation.get('detail', '')}")
        if problem.hint:
            self.note(problem.hint)


class LogScreen(Screen):
    """The screen of a process with JSON logs: each message is one JSON object on one line."""

    def note(self, text: str, style: str = "") -> None:
        """Log the message. Its severity follows from the colour that it would have for people."""
        _log.log({"red": logging.ERROR, "yellow": logging.WARNING}.get(style, logging.INFO), "%s", text)

    def entry(self, event: str, **facts: str) -> None:
        """Print one object in the form of a log line."""
        timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self.out.file.write(json.dumps({**facts, "event": event, "level": "info", "timestamp": timestamp}) + "\n")
        self.out.file.flush()


def clean(text: str) -> str:
    """Text from elsewhere without control characters, which could manipulate a terminal."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}" for character in text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters; --json or --output gives all)"


def short(path: Path) -> Path:
    """The path relative to the working directory if it is inside it, else unchanged."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
