"""Messages that were in hand when the process was killed: counted at the next start, and given up after the third time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.adapters.embedded import inhand
from bridge.ports import Ack, Delivery, Message
from tests.adapters.embedded_kit import entities, open_bus, subscription
from tests.contracts.conftest import Inbox

KNOWN = entities(work=[subscription()], queues={"dead": {}})

#: Handles what it gets. "done" is done; anything else stays in hand until the process ends.
CHILD = """
import asyncio, os, sys
from pathlib import Path
from bridge.adapters.embedded import Embedded
from bridge.ports import Ack, Message
from tests.adapters.test_embedded_inhand import KNOWN

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

async def work(delivery):
    body = delivery.message.body.decode()
    say("hand", body)
    if body != "done":
        await asyncio.Event().wait()
    return Ack.DONE

async def dead(delivery):
    say("dead", delivery.message.body.decode(), delivery.message.properties["DeadLetterReason"])
    return Ack.DONE

async def main():
    folder, *bodies = sys.argv[1:]
    async with Embedded.open(Path(folder), KNOWN, queue_limit=100, data_limit=2**30, max_message=2**20, crashed_to="dead") as embedded:
        await embedded.bus.publish([Message("work", body.encode()) for body in bodies])
        await embedded.bus.subscribe("dead", dead, concurrency=8)
        await embedded.bus.subscribe("work/all", work, concurrency=8)
        say("ready")
        if "stop" in sys.argv:
            await asyncio.sleep(0.3)
            return
        await asyncio.Event().wait()

asyncio.run(main())
"""
ROOT = Path(__file__).parents[2]


@contextmanager
def process(folder: Path, *bodies: str) -> Iterator[Iterator[str]]:
    """A process that says what it does; killed at the end of the block."""
    with subprocess.Popen([sys.executable, "-c", CHILD, str(folder), *bodies], stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        try:
            yield (line.strip() for line in child.stdout)
        finally:
            child.kill()


def kill_with_in_hand(folder: Path, *bodies: str) -> None:
    """Start a process, and kill it once a message that is never done is in hand."""
    with process(folder, *bodies) as said:
        assert next(line for line in said if line.startswith("hand") and line != "hand done")


def in_hand_within_a_moment(folder: Path) -> tuple[set[str], bool]:
    """What a process has in hand when it is killed a moment after it got its first message, and whether that moment was a long one."""
    with subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        first = next(line for line in child.stdout if line.startswith("hand"))
        begun = time.monotonic()
        time.sleep(0.3)
        child.kill()
        late = time.monotonic() - begun > inhand.ALONE_SECONDS / 2
        lines = [first, *child.stdout]
    return {line.split()[1] for line in lines if line.startswith("hand")}, late


def test_a_message_in_hand_at_three_kills_is_a_dead_letter_with_that_reason(tmp_path: Path) -> None:
    kill_with_in_hand(tmp_path, "poison")
    kill_with_in_hand(tmp_path)
    kill_with_in_hand(tmp_path)
    with process(tmp_path) as said:
        assert next(line for line in said if line != "ready") == "dead poison CrashedProcess"


def test_neighbours_that_were_in_hand_at_the_same_time_are_delivered(tmp_path: Path) -> None:
    for bodies in ("abcdef", ""):
        with process(tmp_path, *bodies) as said:
            assert {next(said) for _ in range(7)} == {"ready", *(f"hand {name}" for name in "abcdef")}
    in_hand, late = in_hand_within_a_moment(tmp_path)  # from now on one at a time, so that few are in hand at the third kill
    with process(tmp_path) as said:
        after = {next(said) for _ in range(7)} - {"ready"}
    dead = {line.split()[1] for line in after if line.startswith("dead")}
    assert dead == in_hand
    assert len(dead) == 1 or late
    assert {line.split()[1] for line in after} == set("abcdef")


def test_a_message_that_was_done_before_the_kill_counts_for_nothing(tmp_path: Path) -> None:
    for number in range(4):
        kill_with_in_hand(tmp_path, "done", f"other-{number}")
    with process(tmp_path, "done") as said:
        said_of_all = {next(said) for _ in ("ready", "done", *(f"other-{number}" for number in range(4)))}
    assert "hand done" in said_of_all


def test_an_orderly_stop_is_no_crash(tmp_path: Path) -> None:
    for bodies in (("slow", "stop"), ("stop",), ("stop",), ("stop",)):
        with process(tmp_path, *bodies) as said:
            assert "hand slow" in set(said)
    with process(tmp_path) as said:
        assert "hand slow" in {next(said) for _ in range(3)}


def test_a_file_that_is_no_table_counts_for_nothing(tmp_path: Path) -> None:
    kill_with_in_hand(tmp_path, "poison")
    (tmp_path / inhand.FILE).write_bytes(b"\xff" * 1001)
    with process(tmp_path) as said:
        assert {next(said), next(said)} == {"ready", "hand poison"}


async def test_more_messages_in_hand_than_the_file_has_room_for_are_handled_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inhand, "SLOTS", 4)
    begun, everything, inbox = asyncio.Semaphore(0), asyncio.Event(), Inbox()

    async def hold(delivery: Delivery) -> Ack:
        begun.release()
        await everything.wait()
        return await inbox(delivery)

    async with open_bus(tmp_path, KNOWN) as bus:
        await bus.subscribe("work/all", hold, concurrency=10)
        await bus.publish([Message("work", str(each).encode()) for each in range(10)])
        for _ in range(10):
            await asyncio.wait_for(begun.acquire(), 10)
        everything.set()
        assert len(await inbox.take(10)) == 10
