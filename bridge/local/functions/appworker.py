"""What the host needs of the process that runs an app's functions, whatever they are written in.

`Worker` runs Python and PowerShell over JSON lines, `HandlerWorker` a custom handler over HTTP. Values have the kinds of Azure's TypedData.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from bridge.local.functions.worker import InvocationResponse, Json, OnLog, WorkerHello, WorkerProgram


class AppWorker(Protocol):
    """A process that has loaded an app. What it logs goes to the `OnLog` that it was started with."""

    ended: asyncio.Future[Any]
    """Set when the process has ended."""

    @property
    def pid(self) -> int:
        """The process id."""

    def invoke(self, order: Json) -> asyncio.Future[InvocationResponse]:
        """Run one function. Raises WorkerLost, here or out of the future."""

    def unanswered(self, invocation: str) -> asyncio.Future[InvocationResponse] | None:
        """The answer that is still to come."""

    def stop(self, invocation: str) -> None:
        """Ask for the end of one invocation."""

    def close(self) -> None:
        """Ask the process to end."""

    def kill(self) -> None:
        """End the process and the programs it has started."""


StartWorker = Callable[[WorkerProgram, OnLog], Awaitable[tuple[AppWorker, WorkerHello]]]
"""Starts a process and lets it load the app. Raises AppLoadFailed, OSError."""
