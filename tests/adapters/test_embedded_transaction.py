"""A write is done when the disk has said so, and not before."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.disk_kit import FAILS, slow, syncing

ROOT = Path(__file__).parents[2]
CHILD = """
import asyncio, sys
from pathlib import Path
from bridge.adapters.embedded.database import Database
from bridge.errors import Unavailable

TABLE = ("CREATE TABLE IF NOT EXISTS numbers(number INTEGER PRIMARY KEY)",)

def insert(number):
    return lambda connection: connection.execute("INSERT INTO numbers VALUES(?)", (number,))

def say(word):
    print(word, flush=True)

async def main():
    loop = asyncio.get_running_loop()
    async with Database.open(Path(sys.argv[1]), TABLE) as database:
        say("open")
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            numbers = [int(each) for each in line.split()]
            outcomes = await asyncio.gather(*(database.write(insert(each)) for each in numbers), return_exceptions=True)
            refused = [each for each in outcomes if isinstance(each, Unavailable)]
            say(f"{len(outcomes) - len(refused)} done, {len(refused)} refused, trouble: {database.trouble is not None}")
            say(" ".join(str(row[0]) for row in database.read("SELECT number FROM numbers")))

asyncio.run(main())
"""


class Writer:
    """A process that stores numbers, and says what came of it and which numbers it has."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def said(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    def ask(self, *numbers: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, numbers)).encode() + b"\n")

    async def write(self, *numbers: int) -> tuple[str, str]:
        self.ask(*numbers)
        return await self.said(), await self.said()


@asynccontextmanager
async def writer(data_dir: Path) -> AsyncIterator[Writer]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(data_dir), stdin=PIPE, stdout=PIPE, cwd=ROOT)
    made = Writer(process)
    assert await made.said() == "open"
    try:
        yield made
    finally:
        process.kill()
        await process.communicate()


async def test_what_the_disk_could_not_sync_is_not_done(tmp_path):
    async with writer(tmp_path) as running:
        assert await running.write(1) == ("1 done, 0 refused, trouble: False", "1")
        async with syncing(running.process.pid, FAILS):
            assert await running.write(2) == ("0 done, 1 refused, trouble: True", "1")
            assert await running.write(3, 4, 5) == ("0 done, 3 refused, trouble: True", "1")
        assert await running.write(6) == ("1 done, 0 refused, trouble: False", "1 6")
    async with writer(tmp_path) as again:
        assert await again.write(7) == ("1 done, 0 refused, trouble: False", "1 6 7")


async def test_a_write_is_done_only_after_the_disk_has_synced_it(tmp_path):
    async with writer(tmp_path) as running, syncing(running.process.pid, slow(3)):
        running.ask(1)
        answer = asyncio.create_task(running.said())
        assert (await asyncio.wait({answer}, timeout=1.5))[0] == set()
        assert await answer == "1 done, 0 refused, trouble: False"
