"""What the embedded runtime has acknowledged is there after its process was killed, whatever it was doing."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.store import SCHEMA, EmbeddedStore
from tests.adapters.embedded_kit import entities, open_bus, subscription
from tests.contracts.broker_kit import body_of, embedded_broker
from tests.contracts.conftest import Inbox

ROOT = Path(__file__).parents[2]
KNOWN = entities(kept=[subscription()], read=[subscription()])

STORE_AND_BUS = """
import asyncio, itertools, os, sys
from pathlib import Path
from bridge.adapters.embedded import Embedded
from bridge.ports import Ack, Message
from tests.adapters.test_embedded_crash import KNOWN

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

async def read(delivery):
    say("handled", delivery.message.body.decode())
    return Ack.DONE

async def write(embedded, numbers):
    for number in map(str, numbers):
        await embedded.bus.publish([Message("kept", number.encode()), Message("read", number.encode())])
        say("published", number)
        etag = await embedded.store.create(number, b"first")
        say("created", number)
        await embedded.store.save(number, b"second", etag)
        say("saved", number)

async def main():
    async with Embedded.open(Path(sys.argv[1]), KNOWN, queue_limit=10**6, data_limit=2**30, max_message=2**20) as embedded:
        await embedded.bus.subscribe("read/all", read, concurrency=8)
        numbers = itertools.count()
        await asyncio.gather(*(write(embedded, numbers) for _ in range(16)))

asyncio.run(main())
"""


BROKER = """
import asyncio, itertools, os, sys
from pathlib import Path
from bridge.adapters.embedded.amqp.brokervalues import Complete
from tests.contracts.broker_kit import Client, body_of, embedded_broker, message

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

async def send(broker, numbers):
    for number in map(str, numbers):
        await broker.send("jobs", [message(number), message(number + "b")])
        await broker.send("sessions", [message(number, session_id="s")])
        say("sent", number)

async def complete(client, name):
    while True:
        locked = await client.came.get()
        say("settling", body_of(locked) + name)
        await client.receiver.settle(locked.token, Complete())
        say(name, body_of(locked))
        client.receiver.grant(20)

async def main():
    async with embedded_broker(Path(sys.argv[1]), queue_limit=10**6) as (broker, _):
        client, session = Client.of(broker, "jobs", credit=20), await Client.of_session(broker, "sessions", "s", credit=20)
        numbers = itertools.count()
        await asyncio.gather(*(send(broker, numbers) for _ in range(8)), complete(client, "completed"), complete(session, "ended"))

asyncio.run(main())
"""


def run_and_kill(program: str, data_dir: Path, after: int) -> dict[str, set[str]]:
    """What the program said it had done before it was killed: words, each with the numbers that it was said of."""
    said: defaultdict[str, set[str]] = defaultdict(set)
    with subprocess.Popen([sys.executable, "-c", program, data_dir], stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        for count, line in enumerate(child.stdout):
            if count == after:
                child.send_signal(signal.SIGKILL)
            if line.endswith("\n"):
                word, number = line.split()
                said[word].add(number)
    assert child.returncode == -signal.SIGKILL
    return said


async def delivered(data_dir: Path, source: str) -> set[str]:
    inbox = Inbox()
    async with open_bus(data_dir, KNOWN, window=50) as queue:
        await queue.subscribe(source, inbox, concurrency=8)
        seen = -1
        while seen < inbox.came.qsize():
            seen = inbox.came.qsize()
            await asyncio.sleep(0.5)
    return {inbox.came.get_nowait().message.body.decode() for _ in range(inbox.came.qsize())}


@pytest.mark.parametrize("after", [100, 1_537, 5_000])
async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path, after):
    said = await asyncio.to_thread(run_and_kill, STORE_AND_BUS, tmp_path, after)
    assert said["published"]
    assert said["published"] <= await delivered(tmp_path, "kept/all")
    assert said["published"] <= said["handled"] | await delivered(tmp_path, "read/all")
    async with Database.open(tmp_path, SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        assert all(await store.get_many(sorted(said["created"])))
        assert {stored and stored.value for stored in await store.get_many(sorted(said["saved"]))} == {b"second"}


@pytest.mark.parametrize("after", [101, 2_003])
async def test_a_kill_loses_nothing_that_was_sent_and_returns_nothing_that_was_completed(tmp_path, after):
    said = await asyncio.to_thread(run_and_kill, BROKER, tmp_path, after)
    assert said["sent"]
    async with embedded_broker(tmp_path, queue_limit=10**6) as (broker, _):
        left = {body_of(each) for each in await everything(broker, "jobs")}
        in_session = {body_of(each) for each in await everything(broker, "sessions")}
    sent, settling = said["sent"], said["settling"]
    assert {f"{number}{tail}" for number in sent for tail in ("", "b")} <= left | settled(settling, "completed")
    assert sent <= in_session | settled(settling, "ended")
    assert not left & said["completed"]
    assert not in_session & said["ended"]


def settled(settling: set[str], name: str) -> set[str]:
    """The messages that a receiver was completing when it was killed, or had completed."""
    return {said.removesuffix(name) for said in settling if said.endswith(name)}


async def everything(broker: Any, address: str) -> list[Any]:
    found: list[Any] = []
    while page := await broker.peek(address, found[-1].sequence_number + 1 if found else 0, 1_000, None):
        found += page
    return found
