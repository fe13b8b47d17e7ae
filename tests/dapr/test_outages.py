"""Store, bus or another bridge are away: what waits is neither lost nor given up, readiness tells, and it goes on without a restart."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.dapr.machine import Machine
from tests.dapr.process import bridge_on
from tests.dapr.sidecar import Program, free_ports, redis
from tests.dapr.streams import Refused, Streams, streams

MINUTE = 60.0  #: seconds


@dataclass
class Place:
    """One bridge, and its store in a Redis of its own."""

    machine: Machine
    bridge: BridgeProcess
    http: aiohttp.ClientSession
    bus: Streams
    store_port: int
    store: Program
    queue: Program
    sidecar: Program

    async def event(self, name: str, automation: str = "unhurried") -> None:
        """Publish a request through the sidecar, as another program does."""
        event = {"specversion": "1.0", "id": name, "source": "/orders", "type": "automation.requested", "subject": automation}
        await self.bus.send_event("automation-requests", {**event, "data": {"text": name}})

    async def ask(self, name: str, automation: str = "echo") -> int:
        async with self.http.post(f"/v1/automations/{automation}/requests", json={}, headers={"X-Correlation-Id": name}) as answer:
            return answer.status

    async def parts(self) -> dict[str, str]:
        async with self.http.get("/healthz/ready") as answer:
            parts: dict[str, str] = (await answer.json())["parts"]
            assert (answer.status == 200) == (set(parts.values()) == {"ok"})
            return parts

    async def become(self, **wanted: bool) -> None:
        """Wait until each of these parts is well, or is not, and is told to be so for a second on end."""
        alike = 0
        async with asyncio.timeout(30):
            while alike < 10:
                told = {name: said == "ok" for name, said in (await self.parts()).items() if name in wanted}
                alike = alike + 1 if told == wanted else 0
                await asyncio.sleep(0.1)

    async def ended(self, name: str) -> Any:
        async with asyncio.timeout(60):
            while True:
                async with self.http.get(f"/v1/requests/{name}?wait=20") as answer:
                    if answer.status == 200:
                        return await answer.json()
                await asyncio.sleep(0.1)

    async def letters(self) -> list[Any]:
        async with self.http.get("/v1/deadletters") as answer:
            items: list[Any] = (await answer.json())["items"]
            return items


@pytest.fixture
async def place(machine: Machine, tmp_path: Path, app: Scripted) -> AsyncIterator[Place]:
    (port,) = free_ports(1)
    file = machine.components / "store.yaml"
    file.write_text(file.read_text().replace("envRef: REDIS_HOST", f"value: 127.0.0.1:{port}"))
    store = (await machine.stack.enter_async_context(redis(tmp_path / "store", port))).program
    queue = (await machine.redis()).program
    beside = (await machine.sidecar()).program
    bridge = await bridge_on(machine, tmp_path / "bridge", app, "sweep_every: 1s").start()
    async with aiohttp.ClientSession(bridge.url) as http, streams(machine.redis_port, machine.port) as bus:
        yield Place(machine, bridge, http, bus, port, store, queue, beside)
    await bridge.stop()


async def test_a_store_that_is_away_for_a_minute_delays_runs_and_nothing_else(place: Place, tmp_path: Path) -> None:
    before, during = [f"before-{number}" for number in range(20)], [f"during-{number}" for number in range(20)]
    for name in before:
        await place.event(name)
    await place.store.kill()
    await place.become(store=False, bus=True)
    assert await place.ask("refused") == 503
    for name in during:
        await asyncio.gather(place.event(name), asyncio.sleep(MINUTE / len(during)))
    await place.machine.stack.enter_async_context(redis(tmp_path / "store", place.store_port))
    assert {(await place.ended(name))["status"] for name in before + during} == {"Succeeded"}
    assert await place.letters() == []
    await place.become(store=True, bus=True, sidecar=True)
    assert await place.ask("accepted") == 202


async def refused_at_once(place: Place, look_up: int = 503) -> None:
    """Ten requests and a look-up are answered sooner together than a single one that waits for the sidecar to give up (15 s)."""
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(place.ask(f"refused-{number}") for number in range(10))) == [503] * 10
        async with place.http.get("/v1/requests/refused-0") as answer:
            assert answer.status == look_up


async def taken_soon(place: Place, name: str) -> None:
    """A request is accepted a few seconds after the component is there again."""
    async with asyncio.timeout(20):
        while await place.ask(name) != 202:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(("part", "look_up"), [("store", 503), ("bus", 404)])
async def test_while_a_component_that_hangs_is_known_to_be_away_requests_are_refused_at_once(place: Place, part: str, look_up: int) -> None:
    hung = place.store if part == "store" else place.queue
    hung.process.send_signal(signal.SIGSTOP)
    asking = [asyncio.create_task(place.ask(f"found-out-{number}")) for number in range(5)]
    await place.become(**{part: False})
    await refused_at_once(place, look_up)
    assert set(await asyncio.wait_for(asyncio.gather(*asking), 10)) == {503}, "whoever waited is told, too"
    hung.process.send_signal(signal.SIGCONT)
    await taken_soon(place, "accepted")
    await place.become(store=True, bus=True)


async def test_while_the_store_is_gone_requests_are_refused_at_once(place: Place, tmp_path: Path) -> None:
    await place.store.kill()
    await place.become(store=False)
    await refused_at_once(place)
    await place.machine.stack.enter_async_context(redis(tmp_path / "store", place.store_port))
    await taken_soon(place, "accepted")


async def test_a_sidecar_that_hangs_is_no_reason_to_wait(place: Place) -> None:
    place.sidecar.process.send_signal(signal.SIGSTOP)
    await place.become(sidecar=False)
    await refused_at_once(place)
    place.sidecar.process.send_signal(signal.SIGCONT)
    await taken_soon(place, "accepted")


async def test_a_store_without_room_delays_runs_and_nothing_else(place: Place) -> None:
    assert await place.ask("before") == 202
    assert (await place.ended("before"))["status"] == "Succeeded"
    # Its last event is handled by then. The next write changes a page of the index, and Dapr calls the refusal of a change a mismatch.
    await asyncio.sleep(1)
    async with Redis(port=place.store_port) as store:
        await store.config_set("maxmemory", 1)
        assert await place.ask("refused") == 503
        await place.event("delayed")
        await place.become(store=False, bus=True)
        for _ in range(20):
            assert "OOM" in (await place.parts())["store"], "it is told as long as the store takes no writes"
            assert (await place.ended("before"))["status"] == "Succeeded", "what is there can be read"
            await asyncio.sleep(0.1)
        await store.config_set("maxmemory", 0)
    assert (await place.ended("delayed"))["status"] == "Succeeded"
    assert await place.letters() == []
    await place.become(store=True)
    assert await place.ask("accepted") == 202


async def test_a_bus_that_starts_again_brings_what_it_had(place: Place, app: Scripted) -> None:
    assert await place.ask("under-way", "slow") == 202
    names = [f"event-{number}" for number in range(20)]
    for name in names:
        await place.event(name)
    await place.queue.kill()
    with pytest.raises(Refused):
        await place.event("lost")
    await place.become(bus=False)
    assert await place.ask("refused") == 503
    app.release.set()
    await place.machine.redis()
    assert {(await place.ended(name))["status"] for name in ["under-way", *names]} == {"Succeeded"}
    assert await place.letters() == []
    await place.become(store=True, bus=True, sidecar=True)
    assert await place.ask("accepted") == 202


async def test_a_bus_that_has_lost_everything_carries_what_comes_then(place: Place) -> None:
    await place.bus.redis.flushall()
    await place.event("after")
    assert (await place.ended("after"))["status"] == "Succeeded"


@asynccontextmanager
async def second(place: Place, tmp_path: Path, app: Scripted) -> AsyncIterator[BridgeProcess]:
    """Another bridge, with a sidecar of its own, on the same bus and store."""
    app_port, port = free_ports(2)
    async with AsyncExitStack() as stack:
        machine = replace(place.machine, directory=tmp_path / "other", app_port=app_port, port=port, stack=stack)
        await machine.sidecar()
        bridge = await bridge_on(machine, machine.directory, app, "sweep_every: 1s").start()
        try:
            yield bridge
        finally:
            if bridge.process is not None and bridge.process.returncode is None:
                await bridge.stop()


async def test_each_of_two_bridges_tells_and_ends_the_runs_of_both(place: Place, tmp_path: Path, app: Scripted) -> None:
    async with second(place, tmp_path, app) as bridge, aiohttp.ClientSession(bridge.url) as http:
        assert await place.ask("r-1", "topic.unheard") == 202
        looking = asyncio.create_task(place.ended("r-1"))
        async with http.delete("/v1/requests/r-1") as answer:
            assert (answer.status, (await answer.json())["status"]) == (202, "Canceling")
        assert (await looking)["status"] == "Canceled"
        async with http.get("/v1/requests") as answer:
            assert [run["correlationId"] for run in (await answer.json())["items"]] == ["r-1"]


async def test_what_a_bridge_had_in_hand_when_it_went_for_good_is_ended_by_another(place: Place, tmp_path: Path, app: Scripted) -> None:
    names = [f"r-{number}" for number in range(20)]
    async with second(place, tmp_path, app) as bridge:
        for name in names:
            assert await place.ask(name, "patient") == 202
        async with asyncio.timeout(20):
            while len(app.effects) < len(names):
                await asyncio.sleep(0.01)
        await bridge.kill()
    app.release.set()
    runs = [await place.ended(name) for name in names]
    attempts = [tuple(attempt["outcome"] for attempt in run["invocations"][0]["attempts"]) for run in runs]
    assert set(attempts) == {("Succeeded",), ("Unknown", "Succeeded")}
    assert [app.count(name) for name in names] == [len(each) for each in attempts]
    assert await place.letters() == []
