"""The bridge as a user starts it: a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, field
from pathlib import Path

from bridge.local.freeports import free_ports
from tests import forks

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
FORKED = "PYTEST_VERSION" in os.environ and forks.POSSIBLE  #: whether bridges are forks; where memory or speed are measured they are not
PATIENCE = 60  #: seconds that a bridge may take to start, or to end, on a machine that is busy with other tests
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass
class BridgeProcess:
    """One bridge on a data directory; it may be started again after it was killed. As a context manager it runs until its end."""

    data_dir: Path
    config: str = ""
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    url: str = ""
    process: Process | forks.AsyncProcess | None = None

    async def __aenter__(self) -> BridgeProcess:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> BridgeProcess:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        config = self.data_dir.parent / "bridge.yaml"
        config.write_text(self.config)
        # Nobody else gets this port while the bridge is away, as they would one that the system chose.
        port = self.url.rpartition(":")[2] or str(free_ports(1)[0])
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        self.process = await self._started(
            *("--port", port, "--data-dir", str(self.data_dir), "--config", str(config), *self.arguments),
            environment={**clean, "NO_COLOR": "1", **self._reached_by_programs(), **self.environment},
        )
        self._log = asyncio.create_task(self._collect())
        try:
            self.url = await asyncio.wait_for(self._ready(), PATIENCE)
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"the bridge did not start within {PATIENCE} s:\n{self.log()[-5000:]}") from None
        return self

    def _reached_by_programs(self) -> dict[str, str]:
        """On the embedded runtime programs of the tests reach the bus over AMQP; a sidecar has other ways."""
        on_dapr = "runtime: dapr" in self.config or "dapr" in self.arguments or self.environment.get("BRIDGE_RUNTIME") == "dapr"
        return {} if on_dapr else {"BRIDGE_SERVICEBUS_PORT": "0"}

    async def _started(self, *arguments: str, environment: dict[str, str]) -> Process | forks.AsyncProcess:
        if FORKED and not self.prefix:
            return await forks.start("bridge", "up", *arguments, environment=environment)
        command = (*self.prefix, sys.executable, "-m", "bridge", "up", *arguments)
        return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environment, cwd=ROOT)

    async def _ready(self) -> str:
        """The URL of the banner; what the bridge said instead, if it did not come up."""
        assert self.process is not None
        assert self.process.stdout is not None
        said = ""
        while line := (await self.process.stdout.readline()).decode():
            said += line
            if found := _URL.search(line):
                self._rest = asyncio.create_task(self.process.stdout.read())
                return found[0]
        await self._log
        raise AssertionError(f"the bridge did not start:\n{said}\n{self.log()}")

    async def _collect(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        with (self.data_dir.parent / "bridge.log").open("ab") as log:
            while line := await self.process.stderr.readline():
                log.write(line)
                log.flush()

    def log(self) -> str:
        return (self.data_dir.parent / "bridge.log").read_text()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        try:
            return await asyncio.wait_for(self.process.wait(), PATIENCE)
        except TimeoutError:
            self.process.kill()
            raise AssertionError(f"the bridge did not end within {PATIENCE} s:\n{self.log()[-5000:]}") from None
        finally:
            await self._log

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)


def scripted_config(url: str, *more: str) -> str:
    """Settings for the automations of the tests, with the scripted app at `url`."""
    lines = [
        f"catalogue: {HERE / 'automations.yaml'}",
        f"resiliency: {HERE / 'resiliency.yaml'}",
        f"function_apps: {{scripted: {{url: '{url}', key_env: SCRIPTED_KEY}}, brisk: {{url: '{url}', key_env: SCRIPTED_KEY}}}}",
        f"entities: {HERE / 'servicebus.json'}",
        "reply_topics: [automation-replies, my-replies]",
        "topics: {automation-requests: {submitter: bus, roles: []}}",
        "cancel_grace: 1s",
        "dispatch_lease: 2s",
        "max_input_bytes: 1MiB",
        *more,
    ]
    return "\n".join(lines) + "\n"
