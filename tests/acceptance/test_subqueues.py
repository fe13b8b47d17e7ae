"""Dead letters in the broker's own sub-queues: on the real broker of `bridge local servicebus`, and on the bridge's own queue."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.servicebus.aio import ServiceBusClient

from bridge.crashpoints import EXIT_CODE
from bridge.local.freeports import free_ports
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.namespace_process import NamespaceProcess
from tests.acceptance.parked import TOGETHER, bodies, client, command, entities_file, files, job, listed, park, said

LETTERS = 10_000


@pytest.fixture
def entities(tmp_path: Path) -> Path:
    return entities_file(tmp_path)


@pytest.fixture
async def namespace(tmp_path: Path, entities: Path) -> AsyncIterator[NamespaceProcess]:
    async with NamespaceProcess(tmp_path / "namespace", entities) as found:
        yield found


@pytest.fixture
async def bridge(tmp_path: Path, entities: Path, namespace: NamespaceProcess) -> AsyncIterator[BridgeProcess]:
    config = f"{files(entities)}servicebus: {{connection_string_file: {namespace.file}}}\n"
    async with BridgeProcess(tmp_path / "bridge" / "data", config) as found:
        yield found


async def test_ten_thousand_are_replayed_interrupted_and_continued_none_twice(bridge: BridgeProcess, namespace: NamespaceProcess) -> None:
    async with asyncio.timeout(240), client(namespace) as found:
        await expire(found, LETTERS)
        while sum(1 for _ in (await listed(bridge, "entity=brief&limit=200"))["items"]) < 200:
            await asyncio.sleep(0.2)
        first = await command(bridge, "replay", "--all", "--entity", "brief", "--rate", "300/s")
        await replayed(bridge, LETTERS // 20)
        first.send_signal(signal.SIGINT)
        code, out, err = await said(first)
        assert (code, "10,000 TTLExpiredException of brief" in err) == (130, True)
        left = int(re.findall(r"left ([0-9,]+)", out)[0].replace(",", ""))
        code, out, _ = await said(await command(bridge, "replay", "--all", "--entity", "brief", "--rate", "5000/s"))
        assert (code, out) == (0, f"replayed {left:,}, skipped 0, failed 0\n")
        assert await bodies(found, "brief", LETTERS) == Counter({json.dumps({"job": number}): 1 for number in range(LETTERS)})


async def expire(found: ServiceBusClient, count: int) -> None:
    """Messages of `brief` that expire before anybody takes them."""
    async with found.get_queue_sender("brief") as sender:
        for start in range(0, count, TOGETHER):
            await sender.send_messages([job(number, time_to_live=timedelta(milliseconds=1)) for number in range(start, start + TOGETHER)])
    async with found.get_queue_receiver("brief") as receiver:
        while await receiver.peek_messages(1, sequence_number=1):
            await asyncio.sleep(0.2)


async def replayed(bridge: BridgeProcess, count: int) -> None:
    """Wait until so many have been replayed."""
    while bridge.log().count("replayed a dead letter") < count:
        await asyncio.sleep(0.2)


async def test_a_replay_that_is_killed_before_it_is_settled_arrives_once(bridge: BridgeProcess, namespace: NamespaceProcess) -> None:
    async with client(namespace) as found:
        await park(found, job(1))
        await bridge.stop()
        bridge.environment = {"BRIDGE_CRASH_AT": "deadletter.published"}
        await bridge.start()
        (letter,) = (await listed(bridge))["items"]
        replay = await command(bridge, "replay", letter["id"])
        assert bridge.process is not None
        assert await bridge.process.wait() == EXIT_CODE
        assert (await said(replay))[0] == 5
        bridge.environment = {}
        await bridge.start()
        while True:
            code, _, err = await said(await command(bridge, "replay", letter["id"]))
            if code == 0:
                break
            assert "BeingReplayed" in err  # the lock of the process that is gone has not ended yet
            await asyncio.sleep(1)
        assert await bodies(found, "jobs", 1) == Counter({'{"job": 1}': 1})
    (kept,) = (await listed(bridge))["items"]
    assert [(replay["by"], replay["messageId"]) for replay in kept["replays"]] == [("local", f"{letter['id']}/1")]


@pytest.mark.parametrize("victim", ["bridge", "broker"])
async def test_what_is_killed_amid_a_sweep_loses_none_and_repeats_none(
    bridge: BridgeProcess, namespace: NamespaceProcess, victim: str
) -> None:
    async with client(namespace) as found:
        await park(found, *map(job, range(200)))
    sweep = await command(bridge, "replay", "--all", "--rate", "100/s")
    await replayed(bridge, 50)
    if victim == "bridge":
        await bridge.kill()
        await bridge.start()
    else:
        await namespace.stop(signal.SIGKILL)
        await namespace.__aenter__()
    await said(sweep)
    async with asyncio.timeout(120):
        while (await listed(bridge, "entity=jobs&replayed=false"))["items"]:
            await said(await command(bridge, "replay", "--all", "--rate", "1000/s"))
            await asyncio.sleep(1)
    async with client(namespace) as found:
        assert await bodies(found, "jobs", 200) == Counter({json.dumps({"job": number}): 1 for number in range(200)})


async def test_they_are_explained_chosen_and_discarded_beside_those_of_the_bridge(
    bridge: BridgeProcess, namespace: NamespaceProcess
) -> None:
    async with client(namespace) as found:
        properties: Any = {"invocationtoken": "t0p-s3cret", "cloudEvents:invocationtoken": "t0p-s3cret", "size": 5}
        await park(found, job(1, application_properties=properties), description="t0p-s3cret is not known")
        await park(found, job(2), job(3), reason="Other")
        async with aiohttp.ClientSession(bridge.url) as http:
            event = {"specversion": "1.0", "id": "e 1", "source": "/test", "type": "automation.requested", "subject": "no.such"}
            async with http.post("/v1/events", json=event, headers={"content-type": "application/cloudevents+json"}) as answer:
                assert answer.status in (202, 400, 404)
        text = json.dumps(await listed(bridge))
        assert "t0p-s3cret" not in text
        first = (await listed(bridge, "text=is+not+known"))["items"][0]
        assert (first["reason"], first["entity"], first["properties"]["size"], first["event"]) == ("Refused", "jobs", "5", {"job": 1})
        assert [each["reason"] for each in (await listed(bridge, "entity=JOBS/$DeadLetterQueue&reason=Other"))["items"]] == [
            "Other",
            "Other",
        ]
        assert (await listed(bridge, "entity=jobs&before=2020-01-01T00:00:00Z"))["items"] == []
        code, _, err = await said(await command(bridge, "discard", "--all", "--reason", "Other"))
        assert (code, "2 would be discarded for good; say --yes" in " ".join(err.split())) == (2, True)
        code, out, err = await said(await command(bridge, "discard", "--all", "--reason", "Other", "--yes"))
        assert (code, out, "2 Other of jobs" in err) == (0, "discarded 2, skipped 0, failed 0\n", True)
        assert [each["id"] for each in (await listed(bridge, "entity=jobs"))["items"]] == [first["id"]]
        async with found.get_queue_receiver("jobs", sub_queue="deadletter") as receiver:
            assert [str(each) for each in await receiver.peek_messages(5)] == ['{"job": 1}']


async def test_a_replay_to_a_topic_says_first_which_subscriptions_it_reaches(bridge: BridgeProcess, namespace: NamespaceProcess) -> None:
    async with client(namespace) as found:
        async with found.get_topic_sender("orders") as sender:
            await sender.send_messages(job(1, application_properties={"size": 5}, session_id="s"))
        async with found.get_subscription_receiver("orders", "worker") as receiver:
            (received,) = await receiver.receive_messages(1, max_wait_time=10)
            await receiver.dead_letter_message(received, reason="Refused")
        code, out, err = await said(await command(bridge, "replay", "--all", "--dry-run"))
        assert (code, out, "Their copies reach orders/large, orders/worker." in err) == (0, "", True)
        (letter,) = (await listed(bridge))["items"]
        edited = ("--set", "/job=7", "--set", "/region=west", "--remove", "/none")
        assert (await said(await command(bridge, "replay", "--all", *edited)))[:2] == (0, "replayed 1, skipped 0, failed 0\n")
        async with found.get_subscription_receiver("orders", "worker") as receiver:
            (copy,) = await receiver.receive_messages(1, max_wait_time=10)
        assert (json.loads(str(copy)), copy.session_id, copy.application_properties) == ({"job": 7, "region": "west"}, "s", {b"size": 5})
        assert copy.message_id.startswith(f"{letter['id']}/1.")


async def test_without_the_broker_those_of_the_bridge_are_listed_and_what_is_missing_is_named(
    bridge: BridgeProcess, namespace: NamespaceProcess
) -> None:
    await namespace.stop(signal.SIGKILL)
    async with asyncio.timeout(60):
        page = await listed(bridge)
        assert (page["items"], "refused" in page["missing"][0]["detail"]) == ([], True)
        code, _, err = await said(await command(bridge, "list"))
    assert (code, "The dead letters of the broker are missing here" in err) == (0, True)


async def test_without_the_setting_the_bridge_shows_those_of_its_own_queue(tmp_path: Path, entities: Path) -> None:
    port = free_ports(1)[0]
    async with BridgeProcess(tmp_path / "own" / "data", files(entities), ("--servicebus-port", str(port))) as running:
        string = json.loads((running.data_dir / "servicebus.json").read_text())["connectionString"]
        async with ServiceBusClient.from_connection_string(string) as found:
            await park(found, job(1, application_properties={"size": 5}), job(2))
            first, second = (await listed(running, "entity=jobs"))["items"]
            assert (first["reason"], first["event"], first["properties"]) == ("Refused", {"job": 1}, {"size": "5"})
            assert (await said(await command(running, "replay", second["id"])))[0] == 0
            assert await bodies(found, "jobs", 1) == Counter({'{"job": 2}': 1})
            assert (await said(await command(running, "discard", first["id"])))[0] == 0
            (kept,) = (await listed(running))["items"]
            assert (kept["id"], kept["replays"][0]["by"]) == (second["id"], "local")


async def test_a_namespace_with_tls_is_reached_by_the_file_that_it_wrote(tmp_path: Path, entities: Path) -> None:
    """On whatever port it has, and with the certificate that lies beside the file."""
    async with NamespaceProcess(tmp_path / "namespace", entities, ("--tls",)) as tls:
        config = f"{files(entities)}servicebus: {{connection_string_file: {tls.file}}}\n"
        async with BridgeProcess(tmp_path / "bridge" / "data", config) as running:
            page = await listed(running, "entity=jobs")
            assert (page["items"], page.get("missing")) == ([], None)
