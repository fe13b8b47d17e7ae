"""Whoever may write to a topic tries to be somebody else, to end what is not theirs, or to start what nobody asked for."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.auth import Signer
from bridge.idempotency import digest
from tests.acceptance.bridge_process import scripted_config
from tests.acceptance.runtimes import Bus, Runtime, signing_key
from tests.acceptance.scripted import KEY, Scripted

ADMIN = {"Authorization": "Bearer token-of-ada"}
OLGA = {"Authorization": "Bearer token-of-olga"}
EVENT = {"specversion": "1.0", "id": "e-1", "source": "/orders", "type": "automation.requested", "subject": "restricted", "data": {"a": 1}}


@dataclass
class World:
    """A bridge with tokens, a session of its admin, a program on its bus, and the key its doors sign with."""

    http: aiohttp.ClientSession
    bus: Bus
    app: Scripted
    signer: Signer

    def signed(self, **change: Any) -> dict[str, Any]:
        """What a door would publish for olga, who is an operator."""
        event = {**EVENT, **change}
        named = {name: value for name, value in event.items() if name != "data"}
        named |= {"correlationid": named.get("correlationid", named["id"]), "authid": "olga", "inputdigest": digest(event["data"])}
        return {**self.signer.sign(named, datetime.now(UTC)), "data": event["data"]}

    async def run(self, correlation_id: str) -> Any:
        for _ in range(200):
            async with self.http.get(f"/v1/requests/{correlation_id}?wait=20") as answer:
                if answer.status == 200:
                    return await answer.json()
            await asyncio.sleep(0.02)
        raise AssertionError(f"no ended run {correlation_id}")

    async def letters(self, count: int) -> list[Any]:
        for _ in range(200):
            async with self.http.get("/v1/deadletters") as answer:
                items: list[Any] = (await answer.json())["items"]
            if len(items) >= count:
                return items
            await asyncio.sleep(0.02)
        raise AssertionError(f"{len(items)} dead letters instead of {count}")

    async def work(self, correlation_id: str) -> dict[str, Any]:
        """Ask for work behind a topic and take it there."""
        async with self.http.post("/v1/automations/topic.work/requests", json={}, headers={"X-Correlation-Id": correlation_id}) as answer:
            assert answer.status == 202
        event: dict[str, Any] = (await self.bus.receive("work/worker"))[0]
        return event

    async def settled(self) -> None:
        """Until the bridge has handled everything sent so far: a request sent now comes after it on every topic that matters."""
        await self.bus.send_event("automation-requests", {**EVENT, "id": "last", "subject": "echo"})
        await self.run("last")


@pytest.fixture
async def world(runtime: Runtime, app: Scripted, tmp_path: Path) -> AsyncIterator[World]:
    tokens = [
        f"{{name: {name}, sha256: {hashlib.sha256(f'token-of-{name}'.encode()).hexdigest()}, roles: [{role}]}}"
        for name, role in (("ada", "admin"), ("olga", "operators"), ("sam", ""))
    ]
    config = scripted_config(app.url, f"tokens: [{', '.join(tokens)}]")
    bridge = runtime.bridge(tmp_path, config, {"SCRIPTED_KEY": KEY})
    async with bridge, aiohttp.ClientSession(bridge.url, headers=ADMIN) as http, runtime.bus(bridge) as bus:
        yield World(http, bus, app, Signer(signing_key(await runtime.records(bridge), bridge)))


# As whom.


async def test_an_event_that_a_door_has_signed_is_its_callers(world: World) -> None:
    await world.bus.send_event("automation-requests", world.signed())
    assert (await world.run("e-1"))["status"] == "Succeeded"
    async with world.http.get("/v1/requests/e-1", headers=OLGA) as answer:
        assert answer.status == 200


#: What is changed in an event after it was signed.
MOVES: list[dict[str, Any]] = [
    {"data": {"a": 2}},
    {"data": {"a": 2}, "inputdigest": digest({"a": 2})},
    {"id": "another"},
    {"correlationid": "another"},
    {"source": "/elsewhere"},
    {"replytopic": "my-replies"},
    {"expirytime": "2999-01-01T00:00:00Z"},
    {"rerunof": "e-0"},
    {"authid": "ada"},
    {"authtime": "2999-01-01T00:00:00Z"},
    {"authsignature": "0" * 64},
    {"authsignature": ""},
]


async def test_a_signature_moved_to_another_event_is_worth_nothing(world: World) -> None:
    for number, change in enumerate(MOVES):
        moved = {**world.signed(id=f"e-{number}"), **change}
        await world.bus.send_event("automation-requests", moved)
        run = await world.run(moved["correlationid"])
        assert (change, run["status"], run["error"]["code"]) == (change, "Failed", "Forbidden")
    assert world.app.calls == []


async def test_nor_is_one_moved_to_another_automation(world: World) -> None:
    await world.bus.send_event("automation-requests", {**world.signed(), "subject": "echo"})
    await world.run("e-1")
    async with world.http.get("/v1/requests/e-1", headers=OLGA) as answer:
        assert answer.status == 404


async def test_a_signature_ends_with_the_time_that_its_run_is_kept(world: World) -> None:
    old = datetime.now(UTC) - timedelta(days=7, seconds=1)
    named = {name: value for name, value in world.signed().items() if name not in ("data", "authtime", "authsignature")}
    await world.bus.send_event("automation-requests", {**world.signer.sign(named, old), "data": EVENT["data"]})
    assert (await world.run("e-1"))["error"]["code"] == "Forbidden"


async def test_a_signed_event_that_is_sent_again_starts_nothing(world: World) -> None:
    for _ in range(5):
        await world.bus.send_event("automation-requests", world.signed())
    await world.run("e-1")
    await world.settled()
    assert world.app.count("e-1") == 1


async def test_whoever_writes_to_the_topic_is_who_the_settings_say(world: World) -> None:
    await world.bus.send_event("automation-requests", {**EVENT, "authid": "ada", "subject": "echo"})
    await world.run("e-1")
    async with world.http.get("/v1/requests/e-1", headers=OLGA) as answer:
        assert answer.status == 404
    async with world.http.get("/v1/requests/e-1", headers={"Authorization": "Bearer token-of-sam"}) as answer:
        assert answer.status == 404


# RunStore.


def result(work: dict[str, Any], **change: Any) -> dict[str, Any]:
    made = {
        "specversion": "1.0",
        "id": "result",
        "source": "/forger",
        "type": "automation.result",
        "correlationid": work["correlationid"],
        "causationid": work["id"],
        "invocationtoken": work["invocationtoken"],
        "data": {"status": "succeeded", "output": "forged"},
    }
    return {name: value for name, value in {**made, **change}.items() if value is not None}


async def test_a_result_without_the_token_of_its_own_invocation_changes_nothing(world: World) -> None:
    mine, yours = await world.work("mine"), await world.work("yours")
    forged = [
        result(yours, invocationtoken=None),
        result(yours, invocationtoken=""),
        result(yours, invocationtoken="guess"),
        result(yours, invocationtoken=mine["invocationtoken"]),
        result(mine, causationid="yours/worker"),
        result(mine, correlationid="yours", causationid="yours/worker"),
        result(yours, causationid="yours/other"),
        result(yours, causationid="yours"),
        result(yours, causationid=None),
        result(yours, causationid="/worker"),
        result(yours, invocationtoken=None, causationid="nobodys/worker"),
    ]
    for number, event in enumerate(forged):
        await world.bus.send_event("automation-results", {**event, "id": f"forged-{number}"})
    letters = await world.letters(len(forged))
    assert {letter["reason"] for letter in letters} == {"Malformed"}
    assert yours["invocationtoken"] not in str(letters)
    async with world.http.get("/v1/requests/yours") as answer:
        run = await answer.json()
    assert (run["status"], "lateResult" in run["invocations"][0]) == ("Running", False)
    await world.bus.send_event("automation-results", result(yours, data={"status": "succeeded", "output": "real"}))
    assert (await world.run("yours"))["output"] == "real"


async def test_a_result_for_a_run_that_ended_is_kept_apart_and_changes_nothing_else(world: World) -> None:
    work = await world.work("over")
    await world.bus.send_event("automation-results", result(work, id="first", data={"status": "succeeded", "output": "first"}))
    before = await world.run("over")
    await world.bus.send_event("automation-results", result(work, id="second", data={"status": "failed"}))
    await world.settled()
    after = await world.run("over")
    late = after["invocations"][0].pop("lateResult", None)
    assert after == before
    assert late is None or late["status"] == "Failed"


async def test_the_invocation_url_wants_the_token_of_its_own_invocation(world: World) -> None:
    mine, yours = await world.work("mine"), await world.work("yours")
    for token in ("", "guess", mine["invocationtoken"], "token-of-ada", f"{yours['invocationtoken']}x", yours["invocationtoken"][:-1]):
        for path in ("yours/worker", "yours/other", "nobodys/worker"):
            headers = {"x-invocation-token": token}
            async with world.http.get(f"/v1/invocations/{path}", headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (401, "Unauthorized")
            async with world.http.post(f"/v1/invocations/{path}", json={"status": "succeeded"}, headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (401, "Unauthorized")
    async with world.http.get("/v1/invocations/yours/worker", headers={"x-invocation-token": yours["invocationtoken"]}) as answer:
        assert (answer.status, (await answer.json())["canceled"]) == (200, False)


# The bridge's own topics.


async def test_a_forged_timer_ends_nothing(world: World) -> None:
    await world.work("timed")
    for kind in ("deadline", "cancel"):
        timer = {"specversion": "1.0", "id": f"timed/~{kind}", "source": "/forger", "type": f"automation.{kind}", "correlationid": "timed"}
        await world.bus.send_event("automation-timers", {**timer, "subject": "topic.work", "data": {}})
    await world.settled()
    async with world.http.get("/v1/requests/timed") as answer:
        assert (await answer.json())["status"] == "Running"


async def test_forged_work_calls_no_function(world: World) -> None:
    async with world.http.post("/v1/automations/slow/requests", json={"seconds": 5}, headers={"X-Correlation-Id": "slow-1"}):
        pass
    forged = {"specversion": "1.0", "id": "slow-1/slow", "source": "/forger", "type": "automation.invoked", "subject": "slow", "data": {}}
    for token in ("", "guess"):
        await world.bus.send_event("automation-invocations", {**forged, "correlationid": "slow-1", "invocationtoken": token})
    await world.letters(2)
    world.app.release.set()
    await world.run("slow-1")
    assert world.app.count("slow-1") == 1


async def test_a_forged_dead_letter_ends_nothing(world: World) -> None:
    work = await world.work("given-up")
    await world.bus.send_event("automation-deadletters", {**work, "invocationtoken": "guess"})
    assert (await world.letters(1))[0]["reason"] == "GaveUp"
    async with world.http.get("/v1/requests/given-up") as answer:
        assert (await answer.json())["status"] == "Running"
