"""Bridges on Dapr while anything is killed: two of them, each with a sidecar of its own, and the Redis they share."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.chaos.door import LONGEST, Line, Message, Refused
from tests.chaos.hosted import FunctionsHost
from tests.chaos.place import SETTINGS, end_bridge
from tests.chaos.wishes import WISHES, ReplayRequest
from tests.dapr import streams
from tests.dapr.machine import Machine
from tests.dapr.process import bridge_on
from tests.dapr.sidecar import Program, answers, free_ports

REPLICAS = 2
ENDS = {
    "bridge SIGKILL": 5,
    "bridge SIGKILL again while it starts": 1,
    "bridge SIGTERM": 1,
    "sidecar SIGKILL": 5,
    "bridge and sidecar SIGKILL": 2,
    "Redis SIGKILL": 2,
    "functions host SIGKILL": 1,
    "worker of the functions host SIGKILL": 1,
}


@dataclass(frozen=True)
class StreamDoor:
    """The door of a program beside a sidecar. A stream does not count deliveries: what a function throws away is gone."""

    bus: streams.Streams

    async def send(self, topic: str, body: bytes, **_: str) -> None:
        with _told():
            async with asyncio.timeout(LONGEST):
                await self.bus.send(topic, body)

    async def send_event(self, topic: str, event: Line) -> None:
        with _told():
            async with asyncio.timeout(LONGEST):
                await self.bus.send_event(topic, event)

    async def receive(self, entity: str, credit: int) -> AsyncIterator[Message]:
        try:
            await self.bus.join(entity)
            async for stream_id, body in self._messages(entity, credit):
                # By its bytes: if the Redis client in the sidecar loses its connection while it publishes, it publishes again, and the
                # stream may have both. An event that was published for another attempt has another time in it.
                yield Message(body, hashlib.sha256(body).hexdigest(), (entity, stream_id))
        except streams.AWAY:
            return

    async def _messages(self, entity: str, credit: int) -> AsyncIterator[tuple[str, bytes]]:
        """All that was read before the bus went away, and not completed, comes first; there may be more of it than `credit`."""
        since = "0"
        while found := await self.bus.read(entity, credit, since):
            for each in found:
                yield each
            since = found[-1][0]
        while True:
            for each in await self.bus.read(entity, credit):
                yield each

    async def complete(self, message: Message) -> None:
        with _told():
            await self.bus.done(*message.lock)

    abandon = complete


@contextmanager
def _told() -> Iterator[None]:
    """In the words of the other door."""
    try:
        yield
    except streams.Refused as fault:
        raise Refused(str(fault)) from None
    except streams.AWAY as fault:
        raise ConnectionError(f"the bus is away: {fault!r}") from None


@dataclass
class OnDapr:
    """Implements `Place`."""

    machines: Sequence[Machine]
    bridges: Sequence[BridgeProcess]
    sidecars: list[Program]
    redis: Program
    ends: Mapping[str, int]
    hosted: frozenset[str]
    wishes: Sequence[ReplayRequest] = WISHES

    @property
    def host(self) -> FunctionsHost:
        """That of the first bridge, which relays it the work that its sidecar brings."""
        return FunctionsHost(self.bridges[0])

    def worked(self) -> Iterable[tuple[str, str]]:
        return self.host.worked()

    @asynccontextmanager
    async def door(self, number: int = 0) -> AsyncIterator[StreamDoor]:
        machine = self.machines[number % len(self.machines)]
        async with streams.streams(machine.redis_port, machine.port) as bus:
            yield StreamDoor(bus)

    async def end(self, how: str, chance: random.Random) -> None:
        if "functions host" in how:
            await self.host.end(how)
            return
        number = chance.randrange(len(self.bridges))
        if "Redis" in how:
            await self.redis.kill()
            self.redis = (await self.machines[0].redis()).program
        if "bridge and" in how:
            await self.bridges[number].kill()
        if "sidecar" in how:
            await self.sidecars[number].kill()
            self.sidecars[number] = (await self.machines[number].sidecar()).program
            await answers(self.machines[number].port, self.sidecars[number])
        if "bridge" in how:
            await end_bridge(self.bridges[number], how, chance)


@asynccontextmanager
async def on_dapr(folder: Path, components: Path, app: Scripted) -> AsyncIterator[OnDapr]:
    redis_port, *ports = free_ports(1 + 2 * REPLICAS)
    async with AsyncExitStack() as stack:
        folders = [folder / f"machine-{number}" for number in range(REPLICAS)]
        machines = [Machine(each, components, redis_port, ports.pop(), ports.pop(), stack) for each in folders]
        redis = (await machines[0].redis()).program
        sidecars = [(await machine.sidecar()).program for machine in machines]
        bridges = [bridge_on(machine, machine.directory, app, *SETTINGS) for machine in machines]
        host = FunctionsHost.beside(bridges[0])
        for bridge in bridges:
            await stack.enter_async_context(bridge)
        await host.ready()
        yield OnDapr(machines, bridges, sidecars, redis, ENDS, host.subscriptions)
