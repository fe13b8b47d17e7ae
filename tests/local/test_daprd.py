"""A sidecar for one bridge: its program, its flags, and what ends it."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.local import daprd
from bridge.local.daprd import Daprd


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without Dapr."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_nearest_daprd_is_taken(elsewhere: Path) -> None:
    built = program(elsewhere / "home/.cache/automation-bridge/1.18.1/daprd")
    assert daprd.find(None) == built
    of_the_cli = program(elsewhere / "home/.dapr/bin/daprd")
    assert daprd.find(None) == of_the_cli
    on_the_path = program(elsewhere / "path/daprd")
    assert daprd.find(None) == on_the_path
    assert daprd.find(program(elsewhere / "named")) == elsewhere / "named"


def test_of_those_that_were_built_here_the_newest_is_taken(elsewhere: Path) -> None:
    built = [program(elsewhere / f"home/.cache/automation-bridge/{version}/daprd") for version in ("1.9.2", "1.18.1", "1.18.0")]
    assert daprd.find(None) == built[1]


def test_without_daprd_it_says_how_to_get_one(elsewhere: Path) -> None:
    with pytest.raises(ConfigurationError, match="make dapr"):
        daprd.find(None)
    with pytest.raises(ConfigurationError, match="BRIDGE_DAPRD"):
        daprd.find(elsewhere / "nothing")


def planned(folder: Path) -> Daprd:
    (folder / "configuration.yaml").touch()
    return Daprd.plan(folder / "daprd", folder, folder / "data")


def test_it_listens_on_loopback_only_and_no_token_is_on_its_command_line(tmp_path: Path) -> None:
    sidecar = planned(tmp_path)
    command = " ".join(sidecar.command())
    assert command.count("=127.0.0.1") == 4
    assert sidecar.app_token not in command
    assert sidecar.api_token not in command
    assert sidecar.app_token not in repr(sidecar)
    assert len(set(sidecar.ports.values())) == 5


def test_what_the_bridge_is_told_fits_what_the_sidecar_is_told(tmp_path: Path) -> None:
    sidecar = planned(tmp_path)
    told, given = sidecar.known_to_the_bridge(), sidecar.environment({"REDIS_HOST": "r:1", "APP_API_TOKEN": "of another"})
    assert (told["APP_API_TOKEN"], told["DAPR_API_TOKEN"]) == (given["APP_API_TOKEN"], given["DAPR_API_TOKEN"])
    assert given["REDIS_HOST"] == "r:1"
    assert f"--app-port={told['APP_PORT']}" in sidecar.command()


def test_a_folder_that_holds_no_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no configuration\.yaml"):
        Daprd.plan(tmp_path / "daprd", tmp_path, tmp_path)


async def keep(log: Path, parent: int, *command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "bridge.local.keeper", str(parent), str(log), *command)


async def test_what_is_kept_ends_with_the_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec("sleep", "60")
    child = program(tmp_path / "child", f"#!/bin/sh\necho $$ > {tmp_path / 'pid'}\nexec sleep 60\n")
    keeper = await keep(tmp_path / "log", parent.pid, str(child))
    pid = await written(tmp_path / "pid")
    parent.kill()
    await parent.wait()
    assert await asyncio.wait_for(keeper.wait(), 20) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux the kernel ends a program with the process that started it")
async def test_what_is_kept_ends_with_a_keeper_that_is_killed(tmp_path: Path) -> None:
    child = program(tmp_path / "child", f"#!/bin/sh\necho $$ > {tmp_path / 'pid'}\nexec sleep 60\n")
    keeper = await keep(tmp_path / "log", os.getpid(), str(child))
    pid = await written(tmp_path / "pid")
    keeper.kill()
    await keeper.wait()
    async with asyncio.timeout(20):
        while text(Path(f"/proc/{pid}/cmdline")):
            await asyncio.sleep(0.02)


async def written(path: Path) -> int:
    """The process id in the file, once it is there."""
    async with asyncio.timeout(20):
        while not text(path).strip():
            await asyncio.sleep(0.02)
    return int(text(path))


def text(path: Path) -> str:
    """Nothing if there is no such file."""
    try:
        return path.read_text()
    except OSError:
        return ""


async def test_what_it_says_is_kept_and_its_exit_code_is_told(tmp_path: Path) -> None:
    child = program(tmp_path / "child", "#!/bin/sh\necho to the end\nexit 7\n")
    keeper = await keep(tmp_path / "log", os.getpid(), str(child))
    assert await asyncio.wait_for(keeper.wait(), 20) == 7
    assert (tmp_path / "log").read_text() == "to the end\n"


async def test_the_log_is_begun_anew_at_a_size(tmp_path: Path) -> None:
    child = program(tmp_path / "child", "#!/bin/sh\nhead -c 25000000 /dev/zero | tr '\\0' x\necho end\n")
    keeper = await keep(tmp_path / "log", os.getpid(), str(child))
    assert await asyncio.wait_for(keeper.wait(), 20) == 0
    assert (tmp_path / "log").stat().st_size < 10_000_000
    assert (tmp_path / "log").read_bytes().endswith(b"end\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["child", "log", "log.old"]  # noqa: ASYNC240 - of three files
