"""Commands for the function apps on this machine."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli import session
from bridge.cli.exits import Exit

app = typer.Typer(help="The function apps on this machine.", no_args_is_help=True, rich_markup_mode=None)

_SECONDS = 10.0
Row = dict[str, Any]


@app.callback()
def _functions() -> None:
    """The function apps on this machine."""


@app.command("list")
def list_functions(
    context: typer.Context,
    data_dir: Annotated[Path, typer.Option(help="The folder in which the bridge keeps its files.", metavar="DIR")] = Path(".bridge"),
) -> None:
    """Show apps and functions, with the trigger and the route of each, and what does not run and why."""
    screen = session.of(context).screen
    try:
        entries = json.loads((data_dir / "functions.json").read_text())
    except (OSError, ValueError):
        screen.note(
            f"No functions host runs: {data_dir / 'functions.json'} is not there. Start one with `bridge up --functions DIR`.", "red"
        )
        raise typer.Exit(Exit.UNREACHABLE) from None
    rows = [row for name, entry in sorted(entries.items()) for row in _rows(name, entry)]
    if screen.as_json:
        screen.json(rows)
        return
    columns = ("app", "function", "trigger", "route", "state")
    screen.table(columns, [tuple(str(row[column]) for column in columns) for row in rows])


def _rows(name: str, entry: Mapping[str, Any]) -> Iterator[Row]:
    """One row for each function, or one for an app that does not run."""
    url, headers = f"{entry['url']}/admin/bridge/functions", {"x-functions-key": str(entry.get("masterKey", ""))}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the address is the host's own
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the address is the host's own
            found = json.load(answer)
    except (OSError, ValueError) as fault:
        yield {"app": name, "function": "", "trigger": "", "route": "", "state": f"does not answer: {fault}"}
        return
    for error in found["errors"]:
        yield {"app": name, "function": "", "trigger": "", "route": "", "state": f"does not run: {error}"}
    for each in found["functions"]:
        yield {"app": name, **each}
