"""What the embedded runtime has acknowledged is there after its process was killed, whatever it was doing."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.state import SCHEMA, State
from tests.adapters.embedded_kit import entities, open_queue, subscription
from tests.contracts.conftest import Inbox

KNOWN = entities(kept=[subscription()], read=[subscription()])

CHILD = """
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


def run_and_kill(data_dir: Path, after: int) -> dict[str, set[str]]:
    """What the child said it had done before it was killed."""
    said: dict[str, set[str]] = {word: set() for word in ("published", "created", "saved", "handled")}
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", CHILD, data_dir], stdout=subprocess.PIPE, text=True, cwd=root) as child:
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
    async with open_queue(data_dir, KNOWN, window=50) as queue:
        await queue.subscribe(source, inbox, concurrency=8)
        seen = -1
        while seen < inbox.came.qsize():
            seen = inbox.came.qsize()
            await asyncio.sleep(0.5)
    return {inbox.came.get_nowait().message.body.decode() for _ in range(inbox.came.qsize())}


@pytest.mark.parametrize("after", [100, 1_537, 5_000])
async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path, after):
    said = await asyncio.to_thread(run_and_kill, tmp_path, after)
    assert said["published"]
    assert said["published"] <= await delivered(tmp_path, "kept/all")
    assert said["published"] <= said["handled"] | await delivered(tmp_path, "read/all")
    async with Database.open(tmp_path, SCHEMA) as database:
        store = State(database, data_limit=2**30)
        assert all(await store.get_many(sorted(said["created"])))
        assert {stored and stored.value for stored in await store.get_many(sorted(said["saved"]))} == {b"second"}
