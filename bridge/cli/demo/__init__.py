"""The command `bridge demo`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli import session
from bridge.settings import RuntimeName


def demo(
    context: typer.Context,
    functions: Annotated[Path, typer.Option(help="The folder with the sample automations.", metavar="DIR")] = Path("functions"),
    runtime: Annotated[RuntimeName, typer.Option(help="embedded, or dapr with a sidecar of its own.")] = RuntimeName.EMBEDDED,
) -> None:
    """Start everything on this machine, request the samples, and show the results.

    A bridge and a functions host run on free ports until the demo ends. The samples use input from this machine. Nothing is left behind.
    """
    from bridge.cli.demo import story  # noqa: PLC0415 - only this command needs it

    raise typer.Exit(asyncio.run(story.tell(session.of(context).screen, functions, runtime)))
