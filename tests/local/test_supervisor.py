from __future__ import annotations

import asyncio
import os
import stat
import sys
import time
from collections.abc import Callable, Container
from pathlib import Path

import pytest

from bridge.local.supervisor import Ended, Supervisor


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


async def until(condition: Callable[[], bool]) -> None:
    def look() -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.02)

    await asyncio.to_thread(look)


def written(log: Path) -> list[str]:
    return log.read_text().split() if log.is_file() else []


def alive(process: int) -> bool:
    """A zombie is not; who collects it is not ours to say."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat")
        return not Path("/proc").is_dir() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def ignore(_end: Ended) -> None:
    pass


async def three_ends(log: Path, text: str, only_first: Container[str] = ()) -> list[Ended]:
    """How the first three of these programs ended."""
    ends: asyncio.Queue[Ended] = asyncio.Queue()
    async with Supervisor(program(text), log=log, ended=ends.put_nowait, only_first=only_first, first_pause=0.01):
        return [await asyncio.wait_for(ends.get(), 10) for _ in range(3)]


async def test_a_program_that_ends_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    ends = await three_ends(tmp_path / "log", "raise SystemExit(7)")
    assert [(end.code, end.times, end.pause) for end in ends] == [(7, 1, 0.01), (7, 2, 0.02), (7, 3, 0.04)]


async def test_an_end_comes_with_what_that_program_said_and_nothing_older(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("older\n")
    ends = await three_ends(tmp_path / "log", "print('no such folder')")
    assert [end.output for end in ends] == ["no such folder\n"] * 3


async def test_of_a_program_that_has_begun_its_log_anew_all_of_the_new_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("older\n" * 100)
    begin_anew = "import os; os.truncate(1, 0); print('no such folder')"
    assert (await three_ends(tmp_path / "log", begin_anew))[0].output == "no such folder\n"


async def test_variables_for_the_first_program_alone_do_not_reach_those_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCE", "yes")
    ends = await three_ends(tmp_path / "log", "import os; print(os.environ.get('ONCE'))", only_first={"ONCE"})
    assert [end.output.strip() for end in ends] == ["yes", "None", "None"]


async def test_the_end_stops_the_program_and_everything_it_started(tmp_path: Path) -> None:
    child = """
import subprocess, sys, time
started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(started.pid, "up", flush=True)
time.sleep(60)
"""
    async with Supervisor(program(child), log=tmp_path / "log", ended=ignore):
        await until(lambda: "up" in written(tmp_path / "log"))
        grandchild = int(written(tmp_path / "log")[0])
        assert alive(grandchild)
    await until(lambda: not alive(grandchild))


async def test_a_program_is_asked_to_stop_before_it_is_made_to(tmp_path: Path) -> None:
    polite = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), sys.exit()))
print("up", flush=True)
time.sleep(60)
"""
    async with Supervisor(program(polite), log=tmp_path / "log", ended=ignore):
        await until(lambda: "up" in written(tmp_path / "log"))
    assert written(tmp_path / "log") == ["up", "bye"]


async def test_only_its_owner_can_read_the_log(tmp_path: Path) -> None:
    log = tmp_path / "data" / "log"
    async with Supervisor(program("print('up', flush=True); import time; time.sleep(60)"), log=log, ended=ignore):
        await until(lambda: "up" in written(log))
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_a_program_that_does_not_exist_is_an_error_and_no_silence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        async with Supervisor([str(tmp_path / "nothing")], log=tmp_path / "log", ended=ignore):
            pass
