"""The data directory is damaged, cut, or goes away: the bridge notices, says so, and never says yes to what nobody will find again."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted

PAGE = 4096
Http = aiohttp.ClientSession


@pytest.fixture
async def bridge(app: Scripted, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    async with BridgeProcess(tmp_path / "data", scripted_config(app.url, "drain: 1s"), environment={"SCRIPTED_KEY": KEY}) as process:
        yield process


@pytest.fixture
async def http(bridge: BridgeProcess) -> AsyncIterator[Http]:
    async with Http(bridge.url, timeout=aiohttp.ClientTimeout(40)) as session:
        yield session


async def ask(http: Http, name: str) -> tuple[int, Any]:
    headers = {"X-Correlation-Id": name, "Prefer": "wait=20"}
    async with http.post("/v1/automations/echo/requests", json={"text": "x" * 500}, headers=headers) as answer:
        return answer.status, await answer.json()


async def readiness(http: Http) -> tuple[int, Any]:
    async with http.get("/healthz/ready") as answer:
        return answer.status, (await answer.json())["parts"]["disk"]


async def until_ready_is(http: Http, status: int) -> str:
    async with asyncio.timeout(10):
        while (found := await readiness(http))[0] != status:
            await asyncio.sleep(0.05)
    return str(found[1])


async def some_runs(http: Http, count: int = 60) -> list[str]:
    names = [f"run-{number}" for number in range(count)]
    assert {status for status, _ in await asyncio.gather(*(ask(http, name) for name in names))} == {200}
    return names


async def known(bridge: BridgeProcess, names: list[str]) -> set[int]:
    async with Http(bridge.url) as http:
        found = set()
        for name in names:
            async with http.get(f"/v1/requests/{name}") as answer:
                found.add(answer.status)
        return found


# While it runs.


def remove_the_database(data: Path) -> None:
    (data / "bridge.db").unlink()


def remove_the_log(data: Path) -> None:
    (data / "bridge.db-wal").unlink()


def replace_the_database(data: Path) -> None:
    shutil.copy(data / "bridge.db", data / "copy.db")
    (data / "copy.db").rename(data / "bridge.db")


def rename_the_directory(data: Path) -> None:
    data.rename(data.with_name("elsewhere"))


def remove_the_directory(data: Path) -> None:
    shutil.rmtree(data)


@pytest.mark.parametrize(
    "take_away", [remove_the_database, remove_the_log, replace_the_database, rename_the_directory, remove_the_directory]
)
async def test_after_the_files_went_away_nothing_is_accepted_and_readiness_and_log_say_why(
    bridge: BridgeProcess, http: Http, take_away: Callable[[Path], None]
) -> None:
    await some_runs(http, 3)
    take_away(bridge.data_dir)
    status, problem = await ask(http, "into-nothing")
    assert (status, problem["code"]) == (503, "Unavailable")
    assert "was removed or replaced while it was in use" in problem["detail"]
    assert "was removed or replaced while it was in use" in await until_ready_is(http, 503)
    assert (await ask(http, "into-nothing"))[0] == 503
    assert "nothing can be stored" in bridge.log()


async def test_a_directory_that_comes_back_is_used_again(bridge: BridgeProcess, http: Http) -> None:
    names = await some_runs(http, 3)
    rename_the_directory(bridge.data_dir)
    await until_ready_is(http, 503)
    bridge.data_dir.with_name("elsewhere").rename(bridge.data_dir)
    await until_ready_is(http, 200)
    assert (await ask(http, "afterwards"))[0] == 200
    assert await known(bridge, [*names, "afterwards"]) == {200}


async def test_without_its_lock_file_a_directory_in_use_is_still_closed_to_a_second_bridge(bridge: BridgeProcess) -> None:
    (bridge.data_dir / "bridge.lock").unlink()
    other = BridgeProcess(bridge.data_dir, bridge.config, environment=bridge.environment)
    with pytest.raises(AssertionError, match="is in use by the bridge"):
        await other.start()


# At the start.


def overwrite(file: Path, offset: int, what: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(what)


def spoil_the_header(data: Path) -> None:
    overwrite(data / "bridge.db", 0, os.urandom(PAGE))


def empty_the_first_page_behind_the_header(data: Path) -> None:
    overwrite(data / "bridge.db", 100, bytes(PAGE - 100))


def spoil_every_tenth_page(data: Path) -> None:
    for page in range(5, (data / "bridge.db").stat().st_size // PAGE, 10):
        overwrite(data / "bridge.db", page * PAGE, os.urandom(PAGE))


def empty_every_fifth_page(data: Path) -> None:
    for page in range(7, (data / "bridge.db").stat().st_size // PAGE, 5):
        overwrite(data / "bridge.db", page * PAGE, bytes(PAGE))


def change_a_few_bytes_within_a_run(data: Path) -> None:
    file = data / "bridge.db"
    overwrite(file, file.read_bytes().index(b"x" * 400) + 100, b"yyyy")


def cut_the_database(data: Path) -> None:
    os.truncate(data / "bridge.db", (data / "bridge.db").stat().st_size // 2)


def put_an_empty_database_there(data: Path) -> None:
    os.truncate(data / "bridge.db", 0)


def cut_the_log(data: Path) -> None:
    os.truncate(data / "bridge.db-wal", (data / "bridge.db-wal").stat().st_size // 2)


def spoil_the_log(data: Path) -> None:
    overwrite(data / "bridge.db-wal", (data / "bridge.db-wal").stat().st_size // 2, os.urandom(PAGE))


IN_THE_DATABASE = [
    spoil_the_header,
    empty_the_first_page_behind_the_header,
    spoil_every_tenth_page,
    empty_every_fifth_page,
    change_a_few_bytes_within_a_run,
    cut_the_database,
    put_an_empty_database_there,
]
IN_THE_LOG = [cut_the_log, spoil_the_log, remove_the_log, remove_the_database]  # the last leaves the log alone


def kept(data: Path) -> dict[str, bytes]:
    """What the files hold; those that hold nothing do not count, because a reader makes them."""
    return {name: held for name in ("bridge.db", "bridge.db-wal", "bridge.commits") if (held := _read(data / name))}


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


@pytest.mark.parametrize("damage", [*IN_THE_DATABASE, *IN_THE_LOG])
async def test_a_damaged_directory_is_refused_with_the_way_to_recover_and_left_as_it_is(
    bridge: BridgeProcess, http: Http, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    names = await some_runs(http)
    # What is acknowledged is in the log until that is moved into the database, which a stop does and a kill does not.
    await (bridge.kill() if damage in IN_THE_LOG else bridge.stop())
    shutil.copytree(bridge.data_dir, tmp_path / "copy")
    damage(bridge.data_dir)
    found = kept(bridge.data_dir)
    with pytest.raises(AssertionError, match=r"(sqlite3 bridge\.db \.recover|put the files back|put it back)") as refused:
        await bridge.start()
    assert "Traceback" not in str(refused.value)
    assert kept(bridge.data_dir) == found
    shutil.rmtree(bridge.data_dir)
    (tmp_path / "copy").rename(bridge.data_dir)
    await bridge.start()
    assert await known(bridge, names) == {200}


async def test_a_directory_from_which_transactions_are_missing_can_be_used_on_request(bridge: BridgeProcess, http: Http) -> None:
    await some_runs(http, 5)
    await bridge.kill()
    remove_the_log(bridge.data_dir)
    with pytest.raises(AssertionError, match=r"remove .*bridge\.commits"):
        await bridge.start()
    (bridge.data_dir / "bridge.commits").unlink()
    await bridge.start()
    async with Http(bridge.url) as again:
        assert (await ask(again, "afterwards"))[0] == 200
