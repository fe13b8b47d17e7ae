from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.adapters.embedded import database as embedded_database
from bridge.adapters.embedded import integrity
from bridge.adapters.embedded import store as embedded_store
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.store import EmbeddedStore
from bridge.errors import ConfigurationError, Conflict, Full, Unavailable
from bridge.ports import Message
from tests.adapters.embedded_kit import NUMBERS, insert, numbers, open_bus
from tests.contracts.conftest import Inbox


async def test_what_was_written_can_be_read_at_once(tmp_path):
    async with Database.open(tmp_path, NUMBERS) as database:
        assert await database.write(insert(7)) == 7
        assert numbers(database) == [7]


async def test_writes_that_come_together_share_few_transactions(tmp_path):
    async with Database.open(tmp_path, NUMBERS) as database:
        log = tmp_path / "bridge.db-wal"
        before = log.stat().st_size
        await asyncio.gather(*(database.write(insert(number)) for number in range(500)))
        pages = (log.stat().st_size - before) / 4096
    assert pages < 50


async def test_an_operation_that_refuses_fails_alone(tmp_path):
    def refuses(_: sqlite3.Connection) -> None:
        raise Conflict("taken")

    async with Database.open(tmp_path, NUMBERS) as database:
        outcomes = await asyncio.gather(*(database.write(work) for work in (insert(1), refuses, insert(2))), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [int, Conflict, int]
        assert numbers(database) == [1, 2]


async def test_an_operation_that_breaks_after_writing_is_undone_alone(tmp_path):
    def breaks(connection: sqlite3.Connection) -> None:
        insert(3)(connection)
        insert(1)(connection)

    async with Database.open(tmp_path, NUMBERS) as database:
        outcomes = await asyncio.gather(*(database.write(work) for work in (insert(1), breaks, insert(2))), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [int, sqlite3.IntegrityError, int]
        assert numbers(database) == [1, 2]


async def test_more_writes_than_may_wait_are_refused(tmp_path):
    async with Database.open(tmp_path, NUMBERS, waiting=2) as database:
        outcomes = await asyncio.gather(*(database.write(insert(number)) for number in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [int, int, Full]
        assert await database.write(insert(9)) == 9


async def test_closing_finishes_what_was_submitted(tmp_path):
    async with Database.open(tmp_path, NUMBERS) as database:
        writes = [asyncio.create_task(database.write(insert(number))) for number in range(100)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*writes) == list(range(100))
    with pytest.raises(Unavailable, match="stopping"):
        await database.write(insert(1))


async def test_a_second_process_on_the_directory_is_refused_with_the_first_ones_id(tmp_path):
    script = (
        "import asyncio, sys; from pathlib import Path; from bridge.adapters.embedded.database import Database\n"
        "async def main():\n    async with Database.open(Path(sys.argv[1]), ()): pass\n"
        "asyncio.run(main())"
    )
    async with Database.open(tmp_path, NUMBERS):
        process = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False
        )
    assert process.returncode != 0
    assert f"data_dir {tmp_path}: is in use by the bridge with process id {os.getpid()}; stop that one" in process.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no file that is open")
async def test_a_directory_whose_lock_file_was_deleted_is_still_locked(tmp_path):
    async with Database.open(tmp_path, NUMBERS):
        (tmp_path / "bridge.lock").unlink()
        with pytest.raises(ConfigurationError, match="is in use"):
            async with Database.open(tmp_path, NUMBERS):
                pass


async def test_a_second_opening_in_one_process_is_refused_and_the_first_goes_on(tmp_path):
    async with Database.open(tmp_path, NUMBERS) as database:
        with pytest.raises(ConfigurationError, match="is in use"):
            async with Database.open(tmp_path, NUMBERS):
                pass
        assert await database.write(insert(1)) == 1


@pytest.mark.parametrize("name", ["bridge.db", "bridge.db-wal"])
async def test_what_is_written_after_a_file_was_removed_is_not_stored_and_not_found(tmp_path, name):
    async with Database.open(tmp_path, NUMBERS) as database:
        await database.write(insert(1))
        (tmp_path / name).unlink()
        with pytest.raises(Unavailable, match=f"{name} was removed or replaced"):
            await database.write(insert(2))
        with pytest.raises(Unavailable, match="was removed or replaced"):
            numbers(database)
        assert "was removed or replaced" in str(database.trouble)


async def test_a_file_that_was_removed_is_noticed_without_any_write(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded_database, "_WATCH_SECONDS", 0.01)
    async with Database.open(tmp_path, NUMBERS) as database:
        (tmp_path / "bridge.db").rename(tmp_path / "elsewhere.db")
        await until(lambda: database.trouble is not None)
        (tmp_path / "elsewhere.db").rename(tmp_path / "bridge.db")
        await until(lambda: database.trouble is None)
        assert await database.write(insert(1)) == 1


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_file_that_turns_out_to_be_damaged_is_not_used_any_more(tmp_path):
    async with Database.open(tmp_path, embedded_store.SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        for number in range(100):
            await store.create(f"{number}", os.urandom(3_000))
    async with Database.open(tmp_path, embedded_store.SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        with (tmp_path / "bridge.db").open("r+b") as file:
            for page in range(2, (tmp_path / "bridge.db").stat().st_size // 4096):
                file.seek(page * 4096)
                file.write(b"\xff" * 4096)
        with pytest.raises(Unavailable, match="malformed"):
            await store.get_many([str(number) for number in range(100)])
        with pytest.raises(Unavailable, match=r"damaged.*sqlite3 bridge\.db \.recover"):
            await store.get("absent")
        with pytest.raises(Unavailable, match="damaged"):
            await store.create("new", b"")
        assert "damaged" in str(database.trouble)


async def test_a_large_file_is_checked_while_it_is_in_use(tmp_path, monkeypatch):
    async with Database.open(tmp_path, embedded_store.SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        for number in range(100):
            await store.create(f"{number}", os.urandom(3_000))
    monkeypatch.setattr(integrity, "AT_ONCE", 100_000)
    with (tmp_path / "bridge.db").open("r+b") as file:
        file.seek(40 * 4096)
        file.write(os.urandom(4096))
    async with Database.open(tmp_path, embedded_store.SCHEMA) as database:
        await until(lambda: "damaged" in str(database.trouble))


async def test_nothing_can_be_read_after_closing(tmp_path):
    async with Database.open(tmp_path, NUMBERS) as database:
        pass
    with pytest.raises(Unavailable, match="stopping"):
        database.read("SELECT 1")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 2 MiB. It lies beside pytest's folder: where a run of tests is killed, the next one could not clear up around it."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = Path(tempfile.mkdtemp(prefix="small-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)
    disk.rmdir()


async def until_full(write: Callable[[int], Awaitable[object]]) -> int:
    """How many writes succeed before the disk is full."""
    for number in range(100):
        try:
            await write(number)
        except Full:
            return number
    raise AssertionError("the disk was never full")


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass


async def test_a_full_disk_refuses_what_does_not_fit_and_takes_more_when_it_has_room(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 700_000)
    async with Database.open(small_disk, embedded_store.SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        await store.start()
        stored = await until_full(lambda number: store.create(f"{number}", b"x" * 50_000))
        assert all(await store.get_many([f"{number}" for number in range(stored)]))
        assert await store.get(f"{stored}") is None
        ballast.unlink()
        await store.create("more", b"x" * 50_000)
        await store.close()


async def test_a_message_done_while_the_disk_is_full_is_removed_once_there_is_room(small_disk):
    inbox = Inbox()
    ballast = small_disk / "ballast"
    async with open_bus(small_disk) as queue:
        await queue.publish([Message("orders", b"done")])
        fill(ballast)
        await until_full(lambda _: queue.publish([Message("orders", b"x" * 100_000)]))
        await queue.subscribe("orders/all", inbox, concurrency=1)
        assert (await inbox.next()).message.body == b"done"
        ballast.unlink()
        await asyncio.sleep(1.2)
        await queue.publish([Message("orders", b"after")])
    again = Inbox()
    async with open_bus(small_disk) as queue:
        await queue.subscribe("orders/all", again, concurrency=1)
        assert await again.stays_empty()


async def test_what_the_disk_refused_is_known_until_it_takes_something_again(small_disk, monkeypatch):
    monkeypatch.setattr(embedded_store, "_CLEAN_EVERY", 0.01)
    ballast = small_disk / "ballast"
    async with Database.open(small_disk, embedded_store.SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        await store.start()
        fill(ballast)
        await until_full(lambda number: store.create(f"{number}", b"x" * 50_000))
        await database.write(lambda _: None)
        assert isinstance(database.trouble, Full)
        ballast.unlink()
        async with asyncio.timeout(10):
            while database.trouble is not None:
                await asyncio.sleep(0.01)
        await store.close()


async def test_a_refusal_that_is_not_the_disks_is_no_trouble(tmp_path):
    async with Database.open(tmp_path, embedded_store.SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        await store.start()
        await store.create("key", b"value")
        with pytest.raises(Conflict):
            await store.create("key", b"other")
        assert database.trouble is None
        await store.close()
