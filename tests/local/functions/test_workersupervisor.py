"""A worker that keeps ending, seen from the supervisor; the worker is a real process that speaks just enough."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from bridge.local.functions.worker import WorkerProgram
from bridge.local.functions.workersupervisor import WorkerSupervisor

HELLO = """
print('{"op": "hello", "ok": true, "engine": "test", "language": "Python", "functions": []}', flush=True)
"""
#: Loads the app once; every worker after the first ends before it has.
LOADS_ONCE = """
import sys
from pathlib import Path
mark = Path("mark")
if mark.exists():
    sys.exit("told not to start")
mark.touch()
"""


def watch(folder: Path, text: str, until: Callable[[], bool]) -> None:
    """Keep a worker with this program running until the log says enough."""

    async def watching() -> None:
        program = WorkerProgram([sys.executable, "-c", text], folder, dict(os.environ), folder)
        supervisor = WorkerSupervisor("app", program, lambda *_: None, first_pause=0.01)
        await supervisor.start()
        async with asyncio.timeout(20):
            while not until():
                await asyncio.sleep(0.01)
        await supervisor.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the host's loop
        runner.run(watching())


def pauses(caplog: pytest.LogCaptureFixture, before: str) -> list[str]:
    return re.findall(f"{before} in (.+?) s", "\n".join(caplog.messages))


def test_a_worker_that_dies_while_it_loads_is_started_less_and_less_often_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bridge.functions")
    watch(tmp_path, LOADS_ONCE + HELLO, lambda: len(pauses(caplog, "Next try")) >= 4)
    assert pauses(caplog, "Next try")[:4] == ["0.01", "0.02", "0.04", "0.08"]
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert "The worker ended while it loaded the app" in told[0]


def test_a_worker_that_loads_and_dies_again_and_again_is_started_less_and_less_often(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bridge.functions")
    watch(tmp_path, HELLO, lambda: len(pauses(caplog, "starting another")) >= 3)
    assert pauses(caplog, "starting another")[:3] == ["0.01", "0.02", "0.04"]
