"""Dead letters in the sub-queues of a broker, and the command that acts on them."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient

from tests.acceptance.bridge_process import ROOT, BridgeProcess

TOGETHER = 250  #: messages of one batch


class Reached(Protocol):
    """A namespace that clients reach."""

    @property
    def connection_string(self) -> str: ...


def files(entities: Path) -> str:
    """Settings with these entities, and a catalogue without secrets: with some, all of a message that names no automation is masked."""
    catalogue = entities.with_name("automations.yaml")
    catalogue.write_text(
        "apiVersion: bridge/v1\nkind: Automation\nmetadata: {name: plain}\n"
        "spec: {deadline: 1m, targets: [{name: only, http: {app: python-functions, path: /api/x}}]}\n"
    )
    return f"entities: {entities}\ncatalogue: {catalogue}\n"


def entities_file(folder: Path, base: Path = ROOT / "components" / "servicebus.json") -> Path:
    """Entities with a queue that drops duplicates, one whose messages expire into its dead letters, and a topic with rules."""
    config = json.loads(base.read_text())
    namespace = config["UserConfig"]["Namespaces"][0]
    namespace["Queues"] += [
        {"Name": "jobs", "Properties": {"RequiresDuplicateDetection": True}},
        {"Name": "brief", "Properties": {"DeadLetteringOnMessageExpiration": True, "DefaultMessageTimeToLive": "P1D"}},
    ]
    large = {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "size > 3"}}
    none = {"FilterType": "Correlation", "CorrelationFilter": {"Label": "other"}}
    subscriptions = [
        {"Name": "worker"},
        {"Name": "large", "Rules": [{"Name": "large", "Properties": large}]},
        {"Name": "other", "Rules": [{"Name": "other", "Properties": none}]},
    ]
    namespace["Topics"].append({"Name": "orders", "Subscriptions": subscriptions})
    path = folder / "entities.json"
    path.write_text(json.dumps(config))
    return path


def client(namespace: Reached) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(namespace.connection_string)


async def park(
    found: ServiceBusClient, *messages: ServiceBusMessage, reason: str = "Refused", description: str = "not by this worker"
) -> None:
    """Messages of `jobs` that their receiver dead-letters."""
    async with found.get_queue_sender("jobs") as sender, found.get_queue_receiver("jobs") as receiver:
        await sender.send_messages(list(messages))
        left = len(messages)
        while left:
            for received in await receiver.receive_messages(left, max_wait_time=10):
                await receiver.dead_letter_message(received, reason=reason, error_description=description)
                left -= 1


def job(number: int, **more: Any) -> ServiceBusMessage:
    return ServiceBusMessage(json.dumps({"job": number}), message_id=f"m-{number}", **more)


async def bodies(found: ServiceBusClient, queue: str, count: int) -> Counter[str]:
    """All messages that arrive in a queue until there are `count`, and whatever comes within a moment after."""
    seen: Counter[str] = Counter()
    async with found.get_queue_receiver(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        while batch := await receiver.receive_messages(TOGETHER, max_wait_time=5 if seen.total() < count else 0.5):
            seen.update(str(message) for message in batch)
    return seen


async def command(bridge: BridgeProcess, *words: str) -> Process:
    words = ("-m", "bridge", "--url", bridge.url, "deadletters", *words)
    return await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=PIPE, stderr=PIPE, stdin=asyncio.subprocess.DEVNULL, cwd=ROOT
    )


async def said(process: Process) -> tuple[int | None, str, str]:
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def listed(bridge: BridgeProcess, query: str = "") -> Any:
    async with aiohttp.ClientSession(bridge.url) as http, http.get(f"/v1/deadletters?{query}") as answer:
        return await answer.json()
