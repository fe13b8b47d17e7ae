"""The command `bridge check`, which shows what a rollout would break."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli import session
from bridge.cli.exits import Exit


def check(  # noqa: PLR0913, PLR0917 - these are the options of a command
    context: typer.Context,
    catalogue: Annotated[str | None, typer.Option(metavar="FILE", help="The new automations; otherwise what the settings name.")] = None,
    resiliency: Annotated[str | None, typer.Option(metavar="FILE", help="The new policies; otherwise what the settings name.")] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The new settings; otherwise what BRIDGE_CONFIG names, or bridge.yaml, if it is there."),
    ] = None,
    before: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Compare with these files (catalogue, policies, settings; one option each), instead of with the running bridge. "
            "Settings from the environment (BRIDGE_RETENTION) then count for neither side.",
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND[:NAME]", help="This kind of change is intended, everywhere or in the automation, app or setting NAME."),
    ] = None,
) -> None:
    """Show what the new catalogue, policies and settings break for callers of the running bridge and for its runs in progress.

    Exit code 0: nothing breaks; 1: something breaks or cannot be judged; 2: a file cannot be used.
    """
    from bridge.cli import rollout  # noqa: PLC0415 - other commands start faster without it

    request = rollout.RolloutRequest(catalogue, resiliency, config, tuple(before or ()), tuple(accept or ()))
    code: Exit | None
    if before:
        code = rollout.compare_files(session.of(context).screen, request)
        raise typer.Exit(code)
    session.of(context).run(lambda client, screen: rollout.compare_running(client, screen, request))
