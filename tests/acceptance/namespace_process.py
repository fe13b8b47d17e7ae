"""A Service Bus namespace as a user starts it: `bridge local servicebus` in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path

from bridge.local.freeports import free_ports
from tests import forks
from tests.acceptance.bridge_process import FORKED

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 30  #: seconds that it may take to start, or to end


@dataclass
class NamespaceProcess:
    """One namespace on a data directory; it may be started again after it was killed. As a context manager it runs until its end."""

    data_dir: Path
    entities: Path
    arguments: tuple[str, ...] = ()
    port: int = 0
    process: Process | forks.AsyncProcess | None = None

    @property
    def file(self) -> Path:
        return self.data_dir / "servicebus.json"

    @property
    def connection_string(self) -> str:
        found: str = json.loads(self.file.read_text())["connectionString"]
        return found

    async def __aenter__(self) -> NamespaceProcess:
        self.port = self.port or free_ports(1)[0]
        self.file.unlink(missing_ok=True)
        process = self.process = await self._started()
        assert process.stdout is not None
        assert process.stderr is not None
        # Both are read as they come: a pipe that nobody reads would stop the process once it is full.
        self._said = asyncio.gather(process.stdout.read(), process.stderr.read())
        async with asyncio.timeout(PATIENCE):
            while not self.file.exists() and process.returncode is None:
                await asyncio.sleep(0.02)
        if process.returncode is not None:
            raise AssertionError((await self._said)[1].decode())
        return self

    async def _started(self) -> Process | forks.AsyncProcess:
        options = ("--entities", self.entities, "--port", self.port, "--data-dir", self.data_dir, *self.arguments)
        command, environment = ("local", "servicebus", *map(str, options)), {**os.environ, "NO_COLOR": "1"}
        if FORKED:
            return await forks.start("bridge", *command, environment=environment)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", *command), stdout=PIPE, stderr=PIPE, cwd=ROOT, env=environment
        )

    async def __aexit__(self, *_: object) -> None:
        await self.stop(signal.SIGTERM)

    async def stop(self, number: signal.Signals) -> tuple[int, str]:
        """End it with a signal; returns the exit code and what it wrote to standard error."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            _, errors = await self._said
        return code, errors.decode()
