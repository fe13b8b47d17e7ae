"""What every command that talks to a bridge needs: the URL, the token, the screen, and error messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import typer

from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.client import BridgeClient
from bridge.client.errors import Problem, Unreachable

Work = Callable[[BridgeClient, Screen], Awaitable[Exit | None]]


@dataclass(frozen=True)
class Session:
    """The options of `bridge` itself."""

    url: str
    token: str
    screen: Screen

    def run(self, work: Work) -> None:
        """Do the work with an open client, and end the command with its exit code."""
        raise typer.Exit(asyncio.run(self._guarded(work)))

    async def _guarded(self, work: Work) -> Exit:
        try:
            async with BridgeClient(self.url, self.token) as client:
                return await work(client, self.screen) or Exit.OK
        except Problem as problem:
            self.screen.problem(problem)
            return Exit.REFUSED
        except Unreachable as fault:
            self.screen.note(str(fault), "red")
            return Exit.UNREACHABLE


def of(context: typer.Context) -> Session:
    """The session of a command."""
    session: Session = context.obj
    return session
