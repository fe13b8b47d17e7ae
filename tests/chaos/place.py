"""Where bridges run while they are killed: which processes there are to be ended, and how other programs reach the bus."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted
from tests.chaos import door as queue_door
from tests.chaos.door import Line, Message
from tests.chaos.hosted import FunctionsHost
from tests.chaos.wishes import WISHES, ReplayRequest

#: How often each way of ending a process is drawn.
ENDS = {
    "SIGKILL": 7,
    "SIGKILL again while it starts": 2,
    "SIGTERM": 1,
    "functions host SIGKILL": 2,
    "worker of the functions host SIGKILL": 2,
}
SETTINGS = ("drain: 2s", "log_level: info", "sweep_every: 5s")


class Door(Protocol):
    """How a program sends and receives. Everything raises one of AWAY when the bus is away."""

    async def send(self, topic: str, body: bytes, **properties: str) -> None: ...
    async def send_event(self, topic: str, event: Line) -> None: ...
    def receive(self, entity: str, credit: int) -> AsyncIterator[Message]: ...
    async def complete(self, message: Message) -> None: ...
    async def abandon(self, message: Message) -> None: ...


OpenDoor = Callable[[], AbstractAsyncContextManager[Door]]


class Place(Protocol):
    """Bridges that work together. `ends`: the ways in which a process of theirs can be ended, and how often each is drawn.

    `hosted`: the subscriptions behind which a functions host of the place does the work. `wishes`: what can be asked for.
    """

    bridges: Sequence[BridgeProcess]
    ends: Mapping[str, int]
    hosted: frozenset[str]
    wishes: Sequence[ReplayRequest]

    def worked(self) -> Iterable[tuple[str, str]]:
        """What the functions of the host were given: the invocation, and what tells its messages apart; again if it came again."""

    def door(self, number: int = 0) -> AbstractAsyncContextManager[Door]:
        """The door of one of the programs."""

    async def end(self, how: str, chance: random.Random) -> None:
        """End a process in one of these ways, and start it again."""


@dataclass
class Embedded:
    """One bridge, which is its own bus, with a functions host."""

    bridges: Sequence[BridgeProcess]
    ends: Mapping[str, int]
    hosted: frozenset[str]
    wishes: Sequence[ReplayRequest] = WISHES

    @property
    def host(self) -> FunctionsHost:
        return FunctionsHost(self.bridges[0])

    def worked(self) -> Iterable[tuple[str, str]]:
        return self.host.worked()

    def door(self, number: int = 0) -> AbstractAsyncContextManager[Door]:  # noqa: ARG002 - there is one for all
        return queue_door.door(self.bridges[0].data_dir)

    async def end(self, how: str, chance: random.Random) -> None:
        if "functions host" in how:
            await self.host.end(how)
        else:
            await end_bridge(self.bridges[0], how, chance)


@asynccontextmanager
async def embedded(folder: Path, app: Scripted) -> AsyncIterator[Embedded]:
    bridge = BridgeProcess(folder / "data", scripted_config(app.url, *SETTINGS), environment={"SCRIPTED_KEY": KEY})
    host = FunctionsHost.beside_with_csharp(bridge)
    async with bridge:
        await host.ready()
        yield Embedded([bridge], ENDS, host.subscriptions, host.wishes)


async def end_bridge(bridge: BridgeProcess, how: str, chance: random.Random) -> None:
    """`how` names the signal; the bridge is started again."""
    await bridge.stop(signal.SIGTERM if "SIGTERM" in how else signal.SIGKILL)
    if how.endswith("starts"):
        await _killed_while_it_starts(bridge, chance.uniform(0.1, 1.0))
    await bridge.start()


async def _killed_while_it_starts(bridge: BridgeProcess, after: float) -> None:
    before, starting = bridge.process, asyncio.create_task(bridge.start())
    await asyncio.sleep(after)
    while bridge.process is before:  # a busy machine has not even started it
        await asyncio.sleep(0.01)
    await bridge.kill()
    with contextlib.suppress(AssertionError):  # it says that the bridge did not come up
        await starting
