"""Starts programs of the bridge as forks of a process that has imported it already, see forkserver."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
#: Only Linux has handles of processes that are no children.
POSSIBLE = hasattr(os, "pidfd_open")


class Server:
    """The process that forks; it ends with this one."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")} | {"NO_COLOR": "1"}
        environment["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # read when grpc is imported, and a functions host that is a fork starts workers
        with theirs:
            command, files = (sys.executable, "-m", "tests.forkserver", str(theirs.fileno())), (theirs.fileno(),)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, cwd=ROOT, pass_fds=files)
        atexit.register(self.end)

    def ask(self, asked: Mapping[str, Any], files: Sequence[int] = ()) -> int:
        socket.send_fds(self._orders, [json.dumps(asked).encode()], files)
        answer: int = json.loads(self._orders.recv(100))
        return answer

    def end(self) -> None:
        self._orders.close()
        self._process.wait()


_servers: list[Server] = []


def _server() -> Server:
    if not _servers:
        _servers.append(Server())
    return _servers[0]


class Process:
    """A running program, with what tests use of a subprocess.Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self.handle], [], [], 0)[0]:
            os.close(self.handle)
            self.returncode = _server().ask({"ended": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises TimeoutError."""
        if self.returncode is None:
            select.select([self.handle], [], [], timeout)
        if (code := self.poll()) is None:
            raise TimeoutError(f"process {self.pid} goes on after {timeout} s")
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class AsyncProcess:
    """The same with what they use of an asyncio.subprocess.Process; its standard output and error are pipes."""

    def __init__(self, process: Process, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.pid, self.stdout, self.stderr = process.pid, stdout, stderr
        self._process = process
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(process.handle, self._note_the_end)

    def _note_the_end(self) -> None:
        self._loop.remove_reader(self._process.handle)
        self._process.poll()
        self._ended.set()

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Raises ProcessLookupError once it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(module: str, *arguments: str, environment: Mapping[str, str], stdout: int = 1, stderr: int = 2) -> Process:
    """`python -m module arguments…` in the root of the checkout; the last two are open files."""
    order = {"module": module, "arguments": arguments, "environment": dict(environment)}
    return Process(_server().ask(order, [stdout, stderr]))


async def start(module: str, *arguments: str, environment: Mapping[str, str]) -> AsyncProcess:
    """The same with pipes for standard output and error."""
    (out, theirs_out), (err, theirs_err) = os.pipe(), os.pipe()
    try:
        process = run(module, *arguments, environment=environment, stdout=theirs_out, stderr=theirs_err)
    finally:
        os.close(theirs_out)
        os.close(theirs_err)
    return AsyncProcess(process, await _reader(out), await _reader(err))


async def _reader(pipe: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb"))
    return reader
