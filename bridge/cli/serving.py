"""What all commands that run a server need: an event loop, and error messages."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.errors import BridgeError, ConfigurationError


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A factory for the fastest event loop that is installed."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not to be had on Windows

    return uvloop.new_event_loop


@contextmanager
def errors_shown(screen: Screen, what: str) -> Iterator[None]:
    """Print errors of the user's files and of this machine as sentences, and end the command with the exit code for them.

    `what` begins the sentence, for example "The bridge cannot run".
    """
    try:
        yield
    except ConfigurationError as fault:
        screen.problems(fault)
        raise typer.Exit(Exit.USAGE) from None
    except (BridgeError, OSError) as fault:
        screen.note(f"{what}: {fault}", "red")
        raise typer.Exit(Exit.FAILED) from None
