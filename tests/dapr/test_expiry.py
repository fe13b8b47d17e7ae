"""A root and an issuer that live for 40 s, with the real sentry and sidecars: warned of, renewed in time, and not renewed.

What takes a day on a cluster takes seconds here, because the certificates of sidecars last 24 s instead of a day.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge import certificates
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.results import result_of
from tests.dapr import authority
from tests.dapr.shortlived import Place, becomes, place, readiness
from tests.dapr.streams import streams

LIFE = timedelta(seconds=40)
YEARS = timedelta(days=3650)


@pytest.fixture
async def aging(tmp_path: Path) -> AsyncIterator[tuple[Place, BridgeProcess]]:
    """All of it, with certificates that have just been made."""
    async with place(tmp_path, LIFE) as made:
        await made.restart_sentry()
        await made.restart_functions()
        yield made, await made.restart_bridge()


async def ends_shown(bridge: BridgeProcess) -> dict[str, datetime]:
    """By the gauge: when each certificate ends."""
    async with aiohttp.ClientSession(bridge.url) as http, http.get("/metrics") as answer:
        text = await answer.text()
    found = re.findall(r'^bridge_certificate_expiry_timestamp_seconds\{certificate="([^"]+)".*\} (\S+)$', text, re.MULTILINE)
    return {name: datetime.fromtimestamp(float(value), UTC) for name, value in found}


def ends_of(made: Place) -> dict[str, datetime]:
    """When the certificates end that were there at the start."""
    return {"CN=issuer": authority.end(made.folder / "old" / "issuer.crt"), "CN=root": authority.end(made.folder / "old" / "ca.crt")}


async def ended(ends: Mapping[str, datetime]) -> None:
    while datetime.now(UTC) < max(ends.values()):
        await asyncio.sleep(0.1)


def told_of(made: Place, verb: str) -> set[str]:
    """How readiness names each of them."""
    sources = {"CN=issuer": made.source, "CN=root": made.certificates / "ca.crt"}
    return {f"the certificate {name} of {sources[name]} {verb} at {end:%Y-%m-%d %H:%M:%S} UTC" for name, end in ends_of(made).items()}


async def named_by_readiness(bridge: BridgeProcess) -> set[str]:
    reasons = (await readiness(bridge))[2]
    return {each.partition(" UTC: ")[0] + " UTC" for each in reasons if each.startswith("the certificate ")}


async def doctor(*sources: str) -> tuple[int | None, str]:
    """The exit code of `bridge doctor --certificates` and what it says."""
    arguments = [text for source in sources for text in ("--certificates", source)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", "doctor", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@dataclass
class Caller:
    """Asks for one automation after the other until it is to stop, each with an id of its own, and again where nobody took it."""

    bridge: BridgeProcess
    accepted: list[str] = field(default_factory=list)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self) -> None:
        number = 0
        async with aiohttp.ClientSession() as http:
            while not self.is_over.is_set():
                try:
                    await asyncio.wait_for(self._accepted(http, f"order-{number}"), 5)
                    self.accepted.append(f"order-{number}")
                    number += 1
                except (aiohttp.ClientError, TimeoutError):
                    pass  # its pod is being replaced; whether it took the request is not known, so the same is asked again
                await asyncio.sleep(0.1)

    async def _accepted(self, http: aiohttp.ClientSession, correlation_id: str) -> None:
        url = f"{self.bridge.url}/v1/automations/inspect/requests"
        async with http.post(url, json={}, headers={"x-correlation-id": correlation_id}, raise_for_status=True):
            pass


@asynccontextmanager
async def asking(bridge: BridgeProcess) -> AsyncIterator[Caller]:
    caller = Caller(bridge)
    task = asyncio.create_task(caller.ask())
    yield caller
    caller.is_over.set()
    await task


async def get(bridge: BridgeProcess, path: str) -> Any:
    async with aiohttp.ClientSession(bridge.url) as http, http.get(path) as answer:
        return await answer.json()


async def replied(made: Place) -> dict[str, str]:
    """The type of the reply by correlation id, for all replies on the bus."""
    async with streams(made.machine.redis_port, made.machine.port) as bus:
        events = [json.loads(fields[b"data"]) for _, fields in await bus.redis.xrange("automation-replies")]
    return {each["correlationid"]: each["type"] for each in events}


async def signed_by(made: Place, end: datetime) -> None:
    """Wait until both sidecars show a certificate of the issuer that ends then: they renew theirs by themselves."""
    async with asyncio.timeout(30):
        for port in (made.ports[5], made.ports[7]):
            while [each.not_valid_after_utc for each in await certificates.of_source(f"tls://127.0.0.1:{port}")] != [end]:
                await asyncio.sleep(0.2)


async def test_they_are_warned_of_and_renewed_by_the_runbook_while_requests_flow_and_nothing_is_lost(
    aging: tuple[Place, BridgeProcess],
) -> None:
    made, bridge = aging
    ends = ends_of(made)
    # Warned of: by the gauge of the alerts, by readiness, which stays 200, and by the doctor.
    assert await ends_shown(bridge) == ends
    assert (await readiness(bridge))[:2] == (200, "degraded")
    assert await named_by_readiness(bridge) == told_of(made, "ends")
    code, said = await doctor(made.source, str(made.certificates / "ca.crt"))
    assert (code, said.count(" UTC, in 0 days")) == (1, 2), said
    assert all(f"{name} expires at {end:%Y-%m-%d %H:%M} UTC" in said for name, end in ends.items()), said

    # Renewed, as docs/operations.md has it.
    async with asking(bridge) as caller:
        made.make("new", YEARS)
        made.keep(["old", "new"], "old")  # step 1
        await made.restart_sentry()
        await made.restart_functions()
        caller.bridge = await made.restart_bridge()
        made.keep(["old", "new"], "new")  # step 2
        await made.restart_sentry()
        new_end = authority.end(made.folder / "new" / "issuer.crt")
        await signed_by(made, new_end)  # the day that step 3 waits for
        made.keep(["new"], "new")  # step 3
        await made.restart_sentry()
        await made.restart_functions()
        bridge = caller.bridge = await made.restart_bridge()
        await ended(ends)
        before = len(caller.accepted)
        async with asyncio.timeout(20):
            while len(caller.accepted) < before + 10:
                await asyncio.sleep(0.1)

    # Nothing is lost: all that was accepted has ended well, with its reply, and no call was refused for a certificate.
    runs = [await get(bridge, f"/v1/requests/{each}?wait=30") for each in caller.accepted]
    assert {run["status"] for run in runs} == {"Succeeded"}
    attempts = [attempt for run in runs for attempt in run["invocations"][0]["attempts"]]
    assert not [attempt for attempt in attempts if "certificate" in attempt.get("message", "")]
    async with asyncio.timeout(20):
        while (await replied(made)).keys() < set(caller.accepted):
            await asyncio.sleep(0.1)
    assert {(await replied(made))[each] for each in caller.accepted} == {"automation.succeeded"}
    audit = await get(bridge, "/v1/audit")
    assert (audit["ended"], audit["unfinished"], audit["deadLetters"]) == ({"Succeeded": audit["accepted"]}, 0, {}), audit
    assert await becomes(bridge, "ready") == []
    assert set((await ends_shown(bridge)).values()) == {new_end}


async def test_when_they_have_ended_readiness_says_so_events_go_on_and_what_waited_ends_after_the_runbook(
    aging: tuple[Place, BridgeProcess],
) -> None:
    made, bridge = aging
    others = await made.start_others()
    assert await made.call_others() == 200
    await ended(ends_of(made))
    # Ended: sidecars that are connected go on, for as long as they are. The first call between two others fails in the handshake.
    assert await made.call_others() == 200
    assert len(others.asked) == 2
    # The bridge stays ready, and says which certificate and why.
    async with aiohttp.ClientSession(bridge.url) as http:
        async with http.post("/v1/automations/inspect/requests", json={}, headers={"x-correlation-id": "waits"}) as answer:
            assert answer.status == 202
        async with asyncio.timeout(20):
            while len(told := (await readiness(bridge))[2]) < 3:
                await asyncio.sleep(0.1)
        assert (await readiness(bridge))[:2] == (200, "degraded")
        by_target = told[0]
        assert re.search(r"inspect/inspect: one sidecar refuses the certificate of the other \(.*expired", by_target), by_target
        assert await named_by_readiness(bridge) == told_of(made, "ended")
        run = await get(bridge, "/v1/requests/waits")
        assert (run["status"], run["invocations"][0]["attempts"][0]["code"]) == ("Running", "ConnectionFailed")
        assert "expired" in run["invocations"][0]["attempts"][0]["message"]
        assert made.app.asked == []

        # What goes over the bus alone goes on.
        async with http.post("/v1/automations/topic.work/requests", json={}, headers={"x-correlation-id": "goes-on"}) as answer:
            assert answer.status == 202
        async with streams(made.machine.redis_port, made.machine.port) as bus:
            work, _ = await bus.receive("work/worker")
            await bus.send_event("automation-results", result_of(work))
    assert (await get(bridge, "/v1/requests/goes-on?wait=20"))["status"] == "Succeeded"

    # Mended, as docs/operations.md has it for certificates that have ended: what waited ends, and nobody has to do anything for it.
    made.make("new", YEARS)
    made.keep(["new"], "new")
    await made.restart_sentry()
    await made.restart_functions()
    bridge = await made.restart_bridge()
    assert (await get(bridge, "/v1/requests/waits?wait=60"))["status"] == "Succeeded"
    assert made.app.asked == ["POST /api/inspect"]
    assert await becomes(bridge, "ready") == []
    assert (await replied(made))["waits"] == "automation.succeeded"
