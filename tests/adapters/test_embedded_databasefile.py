from __future__ import annotations

import sqlite3
import stat

import pytest

from bridge.adapters.embedded.database import Database
from bridge.errors import ConfigurationError
from tests.adapters.embedded_kit import NUMBERS, insert, numbers


async def test_only_the_owner_can_read_the_files(tmp_path):
    directory = tmp_path / "new" / "data"
    async with Database.open(directory, NUMBERS) as database:
        await database.write(insert(1))
        rights = {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert rights == dict.fromkeys(("bridge.db", "bridge.db-wal", "bridge.db-shm", "bridge.lock", "bridge.commits"), 0o600)


async def test_a_copy_that_everybody_may_read_is_closed_to_them(tmp_path):
    async with Database.open(tmp_path, NUMBERS):
        pass
    (tmp_path / "bridge.db").chmod(0o644)
    async with Database.open(tmp_path, NUMBERS) as database:
        await database.write(insert(1))
        rights = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert rights == {0o600}


async def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path):
    (tmp_path / "bridge.db").write_text("this is no database, " * 100)
    with pytest.raises(ConfigurationError, match=r"bridge\.db: cannot be used as the bridge's database"):
        async with Database.open(tmp_path, NUMBERS):
            pass


async def test_transactions_that_are_missing_are_missed(tmp_path):
    async with Database.open(tmp_path, NUMBERS) as database:
        await database.write(insert(1))
        (tmp_path / "copy.db").write_bytes((tmp_path / "bridge.db").read_bytes())
    async with Database.open(tmp_path, NUMBERS) as database:
        for number in range(2, 9):
            await database.write(insert(number))
    (tmp_path / "copy.db").rename(tmp_path / "bridge.db")
    with pytest.raises(ConfigurationError, match=r"8 of 8 transactions that were acknowledged are missing"):
        async with Database.open(tmp_path, NUMBERS):
            pass
    (tmp_path / "bridge.commits").unlink()
    async with Database.open(tmp_path, NUMBERS) as database:
        assert await database.write(insert(9)) == 9


async def test_what_another_program_moved_out_of_the_log_is_not_missing(tmp_path):
    async with Database.open(tmp_path, NUMBERS) as database:
        await database.write(insert(1))
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("bridge.db", "bridge.db-wal", "bridge.commits"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    with sqlite3.connect(copy / "bridge.db") as connection:
        assert connection.execute("SELECT number FROM numbers").fetchall() == [(1,)]
    connection.close()
    assert not (copy / "bridge.db-wal").exists()
    async with Database.open(copy, NUMBERS) as database:
        assert numbers(database) == [1]


async def test_a_file_with_tables_of_another_version_is_left_alone(tmp_path):
    async with Database.open(tmp_path, NUMBERS):
        pass
    with sqlite3.connect(tmp_path / "bridge.db") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(ConfigurationError, match="its tables have version 99"):
        async with Database.open(tmp_path, NUMBERS):
            pass


async def test_a_directory_that_cannot_be_made_is_refused_with_its_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="file/data: cannot be written"):
        async with Database.open(tmp_path / "file" / "data", NUMBERS):
            pass
