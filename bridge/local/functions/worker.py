"""One worker process and the JSON lines spoken with it.

To the worker: `{"op": "init", "directory"}`, then
`{"op": "invoke", "id", "function", "trigger": {"name", "value", "metadata"}, "trace": {"parent", "state"}, "deadline"}`. `deadline` is null
or in seconds since 1970: the worker checks it directly before it calls the function.
From the worker: `{"op": "hello", "ok", "engine", "language", "functions" | "error"}` once,
`{"op": "done", "id", "ok", "result", "outputs" | "late", "error": {"message", "stack", "code"?, "text"?, "retriable"?}}` for each
invocation, where `late` means that the function was not called, because its deadline had passed, and
`{"op": "log", "id" | null, "level", "text"}`. Values are those of `workers/pyworker/values.py`. Closing its input ends the worker.

A PowerShell worker speaks over a socket and takes more. `init` brings `functions: [{name, directory, scriptFile, entryPoint, bindings}]`,
and `hello` has `{name, metadata, problem?}` of each: whether it takes metadata, and why it cannot be loaded. `invoke` may have `inputs`,
other values by parameter, and `retry: {count, maximum, message, source}`; metadata are values with their kind. `{"op": "stop", "id"}` ends
one invocation, which is then answered with the error code `Stopped`. `done` has `errorsWritten`, and its error may have a `hint`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

_START_SECONDS = 120.0  #: longest time to load an app
_SOCKET_VARIABLE = "BRIDGE_WORKER_SOCKET"  #: where a worker that speaks over a socket finds its descriptor

_OWN_SOCKET = 0  #: stands for the descriptor of messages where standard output is not theirs

_LEVELS = ((re.compile("warn", re.IGNORECASE), "warning"), (re.compile("error|fail|severe|unhandled exception", re.IGNORECASE), "error"))

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode

Json = dict[str, Any]
OnLog = Callable[[str | None, str, str], None]
"""Takes invocation id, level and text of a line that functions logged or printed."""


class WorkerLost(Exception):
    """The worker ended before it answered."""


class AppLoadFailed(Exception):
    """The worker could not load the app."""

    def __init__(self, message: str, stack: str = "", *, ended: bool = False) -> None:
        """`ended` is whether the worker ended by itself, so that another may do better."""
        self.message = message
        self.stack = stack
        self.ended = ended
        super().__init__(message)


def level_of_error_line(text: str) -> str:
    """The level of a line that a worker has written to standard error, by its words, as Azure's host takes it."""
    return next((level for words, level in _LEVELS if words.search(text)), "info")


@dataclass(frozen=True, slots=True)
class WorkerProgram:
    """How a worker is started."""

    command: Sequence[str]
    folder: Path  #: its working directory
    environment: Mapping[str, str]
    app: Path  #: the app it loads
    over_socket: bool = False  #: whether it speaks over a socket of its own, so that standard input and output are the functions'
    start: Any = None  #: how it is started, an `appworker.StartWorker`; None for one that speaks JSON lines
    cancels: bool = False  #: whether it takes a request to stop a function, though it does not speak over a socket of ours
    functions: Sequence[Json] | None = None  #: what the host has read of the app's functions, for a worker that does not find them itself


@dataclass(frozen=True, slots=True)
class WorkerHello:
    """What the worker reports of itself and of the app once it has loaded it."""

    title: str  #: "azure-functions-runtime 1.3.0 on Python 3.13.0"
    functions: list[Json]
    forwards: bool = False  #: whether its functions get HTTP requests over HTTP


@dataclass(frozen=True, slots=True)
class InvocationResponse:
    """How an invocation ended; a function that raised has `ok` false with the exception.

    `message` and `stack` are for the log. `code` and `text` are the exception's class and what it says, `hint` what its author advises;
    `final` asks for no retry.
    """

    ok: bool
    result: Json | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    message: str = ""
    stack: str = ""
    code: str = ""
    text: str = ""
    hint: str = ""
    final: bool = False
    late: bool = False  #: the function was not called, because its deadline had passed
    canceled: bool = False  #: the bridge canceled the work while it ran
    invocation: str = ""  #: the id under which the log tells of it
    errors_written: int = 0  #: error records of a PowerShell function that did not end it


class Worker(asyncio.SubprocessProtocol):
    """A running worker; use `start`."""

    def __init__(self, on_log: OnLog) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self.ended = loop.create_future()  #: set when the process has ended
        self.released = asyncio.Event()  #: set when its output has been read to its end too
        self._hello: asyncio.Future[Json] = loop.create_future()
        self._unanswered: dict[str, asyncio.Future[InvocationResponse]] = {}
        self._unsent: list[bytes] = []
        self._partial: dict[int, list[bytes]] = {_OWN_SOCKET: [], 1: [], 2: []}
        self._messages_from = _OWN_SOCKET
        self._exited = self._all_read = False
        self._on_log = on_log
        self._process: asyncio.SubprocessTransport
        self._input: asyncio.WriteTransport

    @classmethod
    async def start(cls, program: WorkerProgram, on_log: OnLog) -> tuple[Worker, WorkerHello]:
        """Start a worker and let it load the app. Raises AppLoadFailed."""
        worker = await (cls._start_with_socket if program.over_socket else cls._start_with_pipes)(program, on_log)
        functions = {} if program.functions is None else {"functions": list(program.functions)}
        worker._write({"op": "init", "directory": str(program.app), **functions})
        try:
            return worker, await worker._greeting()
        except BaseException:
            worker.kill()
            raise

    @classmethod
    async def _start_with_pipes(cls, program: WorkerProgram, on_log: OnLog) -> Worker:
        loop = asyncio.get_running_loop()
        # A session of its own keeps Ctrl-C away from running functions; the host decides when a worker ends.
        _, worker = await loop.subprocess_exec(
            lambda: cls(on_log), *program.command, cwd=program.folder, env=dict(program.environment), start_new_session=True
        )
        return worker

    @classmethod
    async def _start_with_socket(cls, program: WorkerProgram, on_log: OnLog) -> Worker:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            _, worker = await loop.subprocess_exec(
                lambda: cls(on_log),
                *program.command,
                cwd=program.folder,
                env={**program.environment, _SOCKET_VARIABLE: str(theirs.fileno())},
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        worker._input, _ = await loop.create_connection(lambda: _Messages(worker), sock=ours)
        return worker

    async def _greeting(self) -> WorkerHello:
        try:
            hello = await asyncio.wait_for(self._hello, _START_SECONDS)
        except TimeoutError:
            raise AppLoadFailed(f"It has not loaded within {_START_SECONDS:.0f} s.") from None
        except WorkerLost:
            raise AppLoadFailed(
                "The worker ended while it loaded the app; the lines it wrote to the log may say why.", ended=True
            ) from None
        if not hello["ok"]:
            raise AppLoadFailed(hello["error"]["message"], hello["error"]["stack"])
        return WorkerHello(f"{hello['engine']} on {hello['language']}", hello["functions"])

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.get_pid()

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.get_returncode()

    def invoke(self, order: Json) -> asyncio.Future[InvocationResponse]:
        """Run one function. Raises WorkerLost, here or out of the future."""
        if self.ended.done():
            raise WorkerLost
        waiting: asyncio.Future[InvocationResponse] = self._loop.create_future()
        self._unanswered[order["id"]] = waiting
        self._write(order)
        return waiting

    def unanswered(self, invocation: str) -> asyncio.Future[InvocationResponse] | None:
        """The answer that is still to come."""
        return self._unanswered.get(invocation)

    def stop(self, invocation: str) -> None:
        """Ask for the end of one invocation, which is then answered as failed."""
        self._write({"op": "stop", "id": invocation})

    def close(self) -> None:
        """Close the worker's input, which makes it end."""
        self._input.close()

    def kill(self) -> None:
        """End the worker and the programs it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _write(self, message: Json) -> None:
        """Send a message with all others of this turn of the event loop: one write, and one time that the worker is woken."""
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(_encode(message).encode())

    def _send(self) -> None:
        if not self._input.is_closing():
            self._input.write(b"\n".join([*self._unsent, b""]))
        self._unsent.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the process and its standard input."""
        self._process = cast("asyncio.SubprocessTransport", transport)
        if (pipe := self._process.get_pipe_transport(0)) is not None:
            self._input = cast("asyncio.WriteTransport", pipe)
            self._messages_from = 1
            self._all_read = True  # the system reports the end of pipes before that of the process

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Read what the worker wrote: messages where it sends them, other output elsewhere."""
        partial = self._partial[fd]
        partial.append(data)
        if b"\n" not in data:
            return
        *lines, rest = b"".join(partial).split(b"\n")
        self._partial[fd] = [rest] if rest else []
        for line in lines:
            if fd == self._messages_from:
                self._take(_decode(line.decode())[0])
            else:
                self._log_output(fd, line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Log a last line that has no end: it may say why the worker died."""
        if fd != self._messages_from and (words := b"".join(self._partial.get(fd, ()))):
            self._partial[fd] = []
            self._log_output(fd, words)

    def _log_output(self, fd: int, line: bytes) -> None:
        """Log what the process has written. As in Azure a line on standard error has the level that its words suggest."""
        text = line.decode(errors="replace")
        self._on_log(None, level_of_error_line(text) if fd == 2 else "info", text)

    def _take(self, message: Json) -> None:
        if message["op"] == "log":
            self._on_log(message["id"], message["level"], message["text"])
        elif message["op"] == "hello":
            self._hello.set_result(message)
        elif (waiting := self._unanswered.pop(message["id"], None)) is not None and not waiting.done():
            waiting.set_result(_done(message))

    def messages_ended(self) -> None:
        """Notice that the worker's socket is closed."""
        self._all_read = True
        self._end_when_over()

    def process_exited(self) -> None:
        """Notice that the process has ended; answers that it wrote before may still come over its socket."""
        self._exited = True
        self._end_when_over()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Let go of the process, whose output has been read to its end."""
        self._process.close()
        self.released.set()

    def _end_when_over(self) -> None:
        """Fail what will never be answered."""
        if not (self._exited and self._all_read):
            return
        unanswered: list[asyncio.Future[Any]] = [self._hello, *self._unanswered.values()]
        for waiting in unanswered:
            if not waiting.done():
                waiting.set_exception(WorkerLost())
        if not self._hello.cancelled():
            self._hello.exception()  # nobody waits for it where the host stops meanwhile
        self._unanswered.clear()
        if not self.ended.done():
            self.ended.set_result(None)


class _Messages(asyncio.Protocol):
    """Hands what comes over the worker's socket to it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def data_received(self, data: bytes) -> None:
        self._worker.pipe_data_received(_OWN_SOCKET, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._worker.messages_ended()


def _done(message: Json) -> InvocationResponse:
    errors = message.get("errorsWritten", 0)
    if message["ok"]:
        return InvocationResponse(ok=True, result=message.get("result"), outputs=message["outputs"], errors_written=errors)
    error = message["error"]
    return InvocationResponse(
        ok=False,
        message=error["message"],
        stack=error["stack"],
        code=error.get("code") or "FunctionFailed",
        text=error.get("text") or error["message"],
        hint=error.get("hint") or "",
        final=error.get("retriable") is False,
        late=bool(message.get("late")),
        errors_written=errors,
    )
