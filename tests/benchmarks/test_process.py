from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.benchmarks.process import Child, Ended, free_port, listening, started

BUSY = "import time\nwhile time.process_time() < 0.1: pass\nprint('worked', flush=True)\n"
PARENT = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {BUSY!r} + 'import time; time.sleep(60)'])\ntime.sleep(60)"


async def _said(child: Child, word: str) -> None:
    async with asyncio.timeout(20):
        while word not in child.last_lines():
            await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().split()[2] != "Z"


async def test_cpu_is_told_for_a_process_and_apart_for_what_it_started(tmp_path: Path) -> None:
    async with started([sys.executable, "-c", PARENT], tmp_path, "bridge", "worker") as child:
        await _said(child, "worked")
        spent = child.cpu()
    assert spent["worker"] >= 0.05
    assert set(spent) == {"bridge", "worker"}


async def test_what_a_process_started_ends_with_it(tmp_path: Path) -> None:
    tells = "import subprocess, time\nprint(subprocess.Popen(['sleep', '60']).pid, 'sleeps', flush=True)\ntime.sleep(60)"
    async with started([sys.executable, "-c", tells], tmp_path, "bridge") as child:
        await _said(child, "sleeps")
        pid = int(child.last_lines().split()[0])
    async with asyncio.timeout(5):
        while _runs(pid):
            await asyncio.sleep(0.02)
    assert child.process.returncode is not None


async def test_a_process_that_ended_is_told_with_its_last_words(tmp_path: Path) -> None:
    async with started([sys.executable, "-c", "raise SystemExit('no disk')"], tmp_path, "bridge") as child:
        with pytest.raises(Ended, match="bridge ended with exit code 1:\nno disk"):
            await listening(free_port(), child)


async def test_a_process_that_goes_on_after_sigterm_ends_by_the_signal_it_is_given(tmp_path: Path) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: None)\nprint('deaf', flush=True)\ntime.sleep(60)"
    async with started([sys.executable, "-c", deaf], tmp_path, "worker", stop=signal.SIGINT) as child:
        await _said(child, "deaf")
    assert child.process.returncode != -signal.SIGKILL


async def test_settings_of_the_bridge_in_the_environment_reach_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "BRIDGE_PORT", "1")
    async with started([sys.executable, "-c", "import os; print(os.environ.get('BRIDGE_PORT'))"], tmp_path, "bridge") as child:
        await _said(child, "None")
