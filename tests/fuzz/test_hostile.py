"""Hostile clients of Service Bus: each is told what is wrong, others are served on, and the broker's memory stays flat."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from tests.acceptance.namespace_process import NamespaceProcess
from tests.fuzz.hostile import STORIES, Hostile
from tests.fuzz.memory import Memory

GROWTH = 40  #: megabytes that one story may leave behind; a message of 100 MB would
ENTITIES = {
    "UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": [{"Name": name} for name in ("plain", "slow", "shut", "other")]}]}
}
_SPACE = ENTITIES["UserConfig"]["Namespaces"][0]
_SPACE["Queues"].append({"Name": "sessions", "Properties": {"RequiresSession": True}})  # type: ignore[attr-defined]
_SPACE["Topics"] = [{"Name": "events", "Subscriptions": [{"Name": "all"}]}]  # type: ignore[assignment]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "entities.json").write_text(json.dumps(ENTITIES))
    return folder


@pytest.fixture
async def namespace(folder: Path, tmp_path: Path) -> AsyncIterator[NamespaceProcess]:
    async with NamespaceProcess(tmp_path / "data", folder / "entities.json") as found:
        yield found


@pytest.mark.parametrize(("story", "said"), list(STORIES.items()), ids=[story.__name__ for story in STORIES])
async def test_a_hostile_client_is_told_its_fault_and_harms_nobody(
    namespace: NamespaceProcess, story: Callable[[Hostile], str], said: str
) -> None:
    assert namespace.process is not None
    key = re.search("SharedAccessKey=([^;]+)", namespace.connection_string)
    assert key is not None
    memory = Memory()
    await one_message(namespace)
    memory.look(namespace.process.pid)
    assert await asyncio.to_thread(story, Hostile(namespace.port, key[1])) == said
    await one_message(namespace)
    memory.look(namespace.process.pid)
    assert memory.last - memory.seen[0] < GROWTH


async def one_message(namespace: NamespaceProcess) -> None:
    """Another client sends a message, and gets it."""
    async with ServiceBusClient.from_connection_string(namespace.connection_string, retry_total=3) as client:
        async with client.get_queue_sender("other") as sender:
            await sender.send_messages(ServiceBusMessage("x"))
        async with client.get_queue_receiver("other") as receiver:
            (message,) = await receiver.receive_messages(max_wait_time=10)
            await receiver.complete_message(message)
