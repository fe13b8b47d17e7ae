"""One worker process and the JSON lines spoken with it.

To the worker: `{"op": "init", "directory"}`, then
`{"op": "invoke", "id", "function", "trigger": {"name", "value", "metadata"}, "trace": {"parent", "state"}}`.
From the worker: `{"op": "hello", "ok", "engine", "language", "functions" | "error"}` once,
`{"op": "done", "id", "ok", "result", "outputs" | "error": {"message", "stack"}}` for each invocation, and
`{"op": "log", "id" | null, "level", "text"}`. Values are those of `workers/pyworker/values.py`. Closing its input ends the worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

_START_SECONDS = 120.0  #: longest time to load an app

Json = dict[str, Any]
OnLog = Callable[[str | None, str, str], None]
"""Takes invocation id, level and text of a line that functions logged or printed."""


class WorkerLost(Exception):
    """The worker ended before it answered."""


class LoadFailed(Exception):
    """The worker could not load the app."""

    def __init__(self, message: str, stack: str = "") -> None:
        self.message = message
        self.stack = stack
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Program:
    """What a worker is started with."""

    command: Sequence[str]
    folder: Path  #: its working directory
    environment: Mapping[str, str]
    app: Path  #: the app it loads


@dataclass(frozen=True, slots=True)
class Hello:
    """What the worker says of itself and of the app."""

    title: str  #: "azure-functions-runtime 1.3.0 on Python 3.13.0"
    functions: list[Json]


@dataclass(frozen=True, slots=True)
class Done:
    """How an invocation ended; a function that raised has `ok` false with the exception's text and stack trace."""

    ok: bool
    result: Json | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    message: str = ""
    stack: str = ""


class Worker(asyncio.SubprocessProtocol):
    """A running worker; use `start`."""

    def __init__(self, on_log: OnLog) -> None:
        loop = asyncio.get_running_loop()
        self.ended = loop.create_future()  #: set when the process has ended
        self._hello: asyncio.Future[Json] = loop.create_future()
        self._waiting: dict[str, asyncio.Future[Done]] = {}
        self._pending: dict[int, list[bytes]] = {1: [], 2: []}
        self._on_log = on_log
        self._process: asyncio.SubprocessTransport
        self._input: asyncio.WriteTransport

    @classmethod
    async def start(cls, program: Program, on_log: OnLog) -> tuple[Worker, Hello]:
        """Start a worker and let it load the app. Raises LoadFailed."""
        loop = asyncio.get_running_loop()
        # A session of its own keeps Ctrl-C away from running functions; the host decides when a worker ends.
        _, worker = await loop.subprocess_exec(
            lambda: cls(on_log), *program.command, cwd=program.folder, env=dict(program.environment), start_new_session=True
        )
        worker._write({"op": "init", "directory": str(program.app)})
        try:
            return worker, await worker._greeting()
        except BaseException:
            worker.kill()
            raise

    async def _greeting(self) -> Hello:
        try:
            hello = await asyncio.wait_for(self._hello, _START_SECONDS)
        except TimeoutError:
            raise LoadFailed(f"It has not loaded within {_START_SECONDS:.0f} s.") from None
        except WorkerLost:
            raise LoadFailed("The worker ended while it loaded the app; the lines it wrote to the log may say why.") from None
        if not hello["ok"]:
            raise LoadFailed(hello["error"]["message"], hello["error"]["stack"])
        return Hello(f"{hello['engine']} on {hello['language']}", hello["functions"])

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.get_pid()

    async def invoke(self, order: Json) -> Done:
        """Run one function. Raises WorkerLost."""
        if self.ended.done():
            raise WorkerLost
        waiting: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting[order["id"]] = waiting
        self._write({"op": "invoke", **order})
        return await waiting

    def close(self) -> None:
        """Let the worker end by itself, at once."""
        self._input.close()

    def kill(self) -> None:
        """End the worker and the programs it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _write(self, message: Json) -> None:
        self._input.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the process and its standard input."""
        self._process = cast("asyncio.SubprocessTransport", transport)
        self._input = cast("asyncio.WriteTransport", self._process.get_pipe_transport(0))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what the worker wrote: messages on 1, other output on 2."""
        pending = self._pending[fd]
        pending.append(data)
        if b"\n" not in data:
            return
        *lines, rest = b"".join(pending).split(b"\n")
        self._pending[fd] = [rest] if rest else []
        for line in lines:
            if fd == 1:
                self._take(json.loads(line))
            else:
                self._on_log(None, "info", line.decode(errors="replace"))

    def _take(self, message: Json) -> None:
        if message["op"] == "log":
            self._on_log(message["id"], message["level"], message["text"])
        elif message["op"] == "hello":
            self._hello.set_result(message)
        elif (waiting := self._waiting.pop(message["id"], None)) is not None and not waiting.done():
            waiting.set_result(_done(message))

    def process_exited(self) -> None:
        """Fail what will never be answered."""
        unanswered: list[asyncio.Future[Any]] = [self._hello, *self._waiting.values()]
        for waiting in unanswered:
            if not waiting.done():
                waiting.set_exception(WorkerLost())
        self._waiting.clear()
        if not self.ended.done():
            self.ended.set_result(None)


def _done(message: Json) -> Done:
    if message["ok"]:
        return Done(ok=True, result=message["result"], outputs=message["outputs"])
    return Done(ok=False, message=message["error"]["message"], stack=message["error"]["stack"])
