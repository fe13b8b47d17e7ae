from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from bridge.local.freeports import free_ports
from tests import forks

pytestmark = pytest.mark.skipif(not forks.POSSIBLE, reason="only Linux has handles of processes that are no children")
SERVES = "http.server"  #: a program that goes on until it is told to end


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


async def test_a_fork_is_the_program_with_arguments_and_environment_of_its_own() -> None:
    environment = {**os.environ, "BRIDGE_PORT": "none"}
    fork = await forks.start("bridge", "up", environment=environment)
    said = await fork.stderr.read()
    alone = await asyncio.create_subprocess_exec(sys.executable, "-m", "bridge", "up", stderr=PIPE, env={**environment, "NO_COLOR": "1"})
    _, expected = await alone.communicate()
    assert (await fork.wait(), said) == (alone.returncode, expected)
    assert b"BRIDGE_PORT" in said


async def test_a_fork_that_is_killed_has_ended_with_the_signal() -> None:
    fork = await forks.start(SERVES, "0", "--bind", "127.0.0.1", environment=os.environ)
    assert fork.returncode is None
    fork.kill()
    assert await fork.wait() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        fork.kill()


async def test_ctrl_c_reaches_a_fork_although_the_process_it_comes_from_ignores_it() -> None:
    port = free_ports(1)[0]
    fork = await forks.start(SERVES, str(port), "--bind", "127.0.0.1", environment=os.environ)
    async with asyncio.timeout(20):
        while not listens(port):
            await asyncio.sleep(0.02)
    fork.send_signal(signal.SIGINT)
    assert b"Keyboard interrupt" in await fork.stdout.read()
    assert await fork.wait() == 0


def test_one_that_goes_on_can_be_waited_for_a_while(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        fork = forks.run(SERVES, "0", "--bind", "127.0.0.1", environment=os.environ, stdout=log.fileno(), stderr=log.fileno())
    with pytest.raises(TimeoutError, match=f"process {fork.pid} goes on"):
        fork.wait(timeout=0.01)
    fork.send_signal(signal.SIGTERM)
    assert (fork.wait(timeout=20), fork.poll()) == (-signal.SIGTERM, -signal.SIGTERM)
