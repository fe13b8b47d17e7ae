from __future__ import annotations

import asyncio
import os
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.adapters.embedded import freepages
from bridge.adapters.embedded import store as embedded_store
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.store import SCHEMA, EmbeddedStore

VALUE = os.urandom(4_000)


async def fill(data_dir: Path, keys: int, kept: int) -> None:
    """Keys of which all but `kept` are over a moment later."""
    async with Database.open(data_dir, SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        lives = [None if number < kept else timedelta(seconds=0.01) for number in range(keys)]
        await asyncio.gather(*(store.create(f"{number}", VALUE, life) for number, life in enumerate(lives)))


async def shrunk(data_dir: Path, to: int) -> None:
    """Wait until the file is that small, in bytes."""
    async with Database.open(data_dir, SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        await store.start()
        async with asyncio.timeout(30):
            while (data_dir / "bridge.db").stat().st_size > to:
                await asyncio.sleep(0.05)
        await store.close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_store, "_CLEAN_PAUSE", 0.001)
    monkeypatch.setattr(embedded_store, "_CLEAN_EVERY", 0.01)
    monkeypatch.setattr(freepages, "KEPT", 200)


async def test_the_directory_shrinks_after_most_of_its_keys_are_gone_and_the_others_stay(tmp_path):
    await fill(tmp_path, 4_000, 100)
    assert (tmp_path / "bridge.db").stat().st_size > 16_000_000
    await shrunk(tmp_path, 3_000_000)
    async with Database.open(tmp_path, SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        assert [each and each.value for each in await store.get_many([str(number) for number in range(101)])] == [VALUE] * 100 + [None]
        assert database.read("PRAGMA integrity_check") == [("ok",)]


async def test_a_file_that_was_made_without_this_shrinks_too(tmp_path):
    with sqlite3.connect(tmp_path / "bridge.db") as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(SCHEMA[0])
    connection.close()
    await fill(tmp_path, 2_000, 10)
    await shrunk(tmp_path, 3_000_000)


async def test_a_step_is_bounded(tmp_path):
    await fill(tmp_path, 2_000, 10)
    async with Database.open(tmp_path, SCHEMA) as database:
        await database.write(lambda connection: connection.execute("DELETE FROM state"))
        free = database.read("PRAGMA freelist_count")[0][0]
        assert await database.write(freepages.release)
        assert database.read("PRAGMA freelist_count")[0][0] == free - freepages.AT_ONCE


async def test_pages_that_are_needed_again_soon_stay(tmp_path):
    await fill(tmp_path, 100, 0)
    async with Database.open(tmp_path, SCHEMA) as database:
        await database.write(lambda connection: connection.execute("DELETE FROM state"))
        assert not await database.write(freepages.release)
