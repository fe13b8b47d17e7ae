from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.store import SCHEMA, EmbeddedStore, spoiled
from bridge.errors import ConfigurationError, Full, Unavailable


@asynccontextmanager
async def open_state(data_dir: Path, data_limit: int = 2**30) -> AsyncIterator[EmbeddedStore]:
    async with Database.open(data_dir, SCHEMA) as database:
        state = EmbeddedStore(database, data_limit=data_limit)
        await state.start()
        yield state
        await state.close()


async def create_until_full(state: EmbeddedStore) -> int:
    """Create keys that end at once; how many there was room for."""
    for number in range(1_000):
        if state.is_full:
            return number
        await state.create(f"{number}", b"x" * 10_000, timedelta(seconds=0.01))
    raise AssertionError("it was never full")


async def test_values_outlive_the_process_that_stored_them(tmp_path):
    async with open_state(tmp_path) as state:
        etag = await state.create("key", b"1")
    async with open_state(tmp_path) as state:
        assert await state.get("key") == (b"1", etag)
        await state.save("key", b"2", etag)


async def test_a_version_never_comes_twice_even_when_the_key_is_created_again_later(tmp_path):
    etags = []
    for _ in range(3):
        async with open_state(tmp_path) as state:
            etags.append(await state.create("key", b"1", timedelta(seconds=0.01)))
            await asyncio.sleep(0.02)
    assert len(set(etags)) == 3


async def test_nobody_else_writes_these_keys(tmp_path):
    async with open_state(tmp_path) as state:
        assert state.shared is False


async def test_a_full_store_takes_no_more_keys_but_saves_those_it_has(tmp_path):
    async with open_state(tmp_path, data_limit=200_000) as state:
        etag = await state.create("key", b"1")
        assert await create_until_full(state) < 30
        with pytest.raises(Full, match="200000 are allowed"):
            await state.create("more", b"1")
        await state.save("key", b"2", etag)


async def test_a_full_store_has_room_again_when_old_keys_have_ended(tmp_path):
    async with open_state(tmp_path, data_limit=1_000_000) as state:
        await create_until_full(state)
    async with open_state(tmp_path, data_limit=1_000_000) as state:
        async with asyncio.timeout(10):
            while state.is_full:
                await asyncio.sleep(0.02)
        await state.create("new", b"1")


async def test_saving_without_a_time_to_live_keeps_the_key_for_good(tmp_path):
    async with open_state(tmp_path) as state:
        etag = await state.create("key", b"1", timedelta(seconds=0.3))
        await state.save("key", b"2", etag)
        await asyncio.sleep(0.4)
        assert await state.get("key") is not None


async def test_a_value_that_is_not_what_was_stored_is_not_given(tmp_path):
    async with open_state(tmp_path) as state:
        await state.create("key", b"as it was stored")
    spoil(tmp_path / "bridge.db")
    async with open_state(tmp_path) as state:
        with pytest.raises(Unavailable, match="the value of 'key' is not what was stored"):
            await state.get("key")
        with pytest.raises(Unavailable, match="damaged"):
            await state.get_many(["other"])


def spoil(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"as it was stored", b"as it was spoilt"))


async def test_a_spoiled_value_is_found_before_the_file_is_used(tmp_path):
    async with open_state(tmp_path) as state:
        await state.create("key", b"as it was stored")
    spoil(tmp_path / "bridge.db")
    with pytest.raises(ConfigurationError, match="the value of 'key' is not what was stored"):
        async with Database.open(tmp_path, SCHEMA, spoiled=spoiled):
            pass


async def test_values_of_earlier_releases_have_no_checksum_and_are_given_as_they_are(tmp_path):
    async with open_state(tmp_path) as state:
        etag = await state.create("key", b"value")
        await state._database.write(lambda connection: connection.execute("UPDATE state SET etag=?", (etag.rpartition(".")[0],)))
        stored = await state.get("key")
        assert stored is not None
        await state.save("key", b"2", stored.etag)
    async with Database.open(tmp_path, SCHEMA, spoiled=spoiled):
        pass
