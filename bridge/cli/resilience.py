"""The command `bridge resilience explain`, which explains the policy of a function app."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bridge import settings
from bridge.cli import session
from bridge.cli.exits import Exit
from bridge.cli.screen import short
from bridge.errors import ConfigurationError

app = typer.Typer(help="The policies for calls to function apps.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _resilience() -> None:
    """The policies for calls to function apps."""


@app.command()
def explain(context: typer.Context, name: Annotated[str, typer.Argument(metavar="APP", help="The app's name in the catalogue.")]) -> None:
    """Show what the policy of an app amounts to: attempts, pauses, the worst case, and what callers see and when.

    Policies, catalogue and entities are those that the settings name. Nothing is called, and no bridge needs to run.
    """
    # The catalogue takes long to load, and other commands need none of it.
    from bridge.cli import policyview  # noqa: PLC0415

    screen = session.of(context).screen
    try:
        found = settings.load({}, os.environ, Path.cwd())
        view = policyview.of_settings(name, found)
    except ConfigurationError as fault:
        screen.problems(fault)
        raise typer.Exit(Exit.USAGE) from None
    if screen.as_json:
        screen.json(policyview.as_json(view, str(short(found.resiliency))))
    else:
        policyview.tell(screen, view, str(short(found.resiliency)))
