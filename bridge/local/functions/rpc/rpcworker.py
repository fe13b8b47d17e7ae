"""A worker process that speaks Azure's own protocol. See `AppWorker`; docs/existing-functions.md says which apps have one."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from bridge.local.functions.feed import Feed
from bridge.local.functions.invocations import HeldMessages
from bridge.local.functions.rpc import invocationmessages, workerprocess
from bridge.local.functions.rpc.apploading import AppLoading
from bridge.local.functions.rpc.forwarding import ForwardedCall
from bridge.local.functions.rpc.httpvalues import HttpCall
from bridge.local.functions.rpc.protocol import RpcLog, StreamingMessage
from bridge.local.functions.rpc.rpcserver import LARGEST_MESSAGE, RpcServer
from bridge.local.functions.rpc.workerconfig import RpcStart
from bridge.local.functions.worker import InvocationResponse, Json, OnLog, WorkerHello, WorkerLost, WorkerProgram, level_of_error_line

log = logging.getLogger("bridge.functions")

_CANCEL, _TERMINATE = "HandlesInvocationCancelMessage", "HandlesWorkerTerminateMessage"
_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "none")  #: by the number in RpcLog
_GRACE = 5  #: seconds that a worker is told it has when it shall end
_OF_THE_WORKER = "LanguageWorkerConsoleLog"  #: begins what Microsoft's workers write of themselves
_SEEN = 0.05  #: seconds in which an app sees that its caller is gone, before the function is canceled
_LAST_WORDS = 1.0  #: seconds in which messages and lines that a worker wrote before it ended are still read


class RpcWorker:
    """A running worker; use `start`."""

    def __init__(self, process: asyncio.subprocess.Process, server: RpcServer, on_log: OnLog, held: dict[str, HeldMessages]) -> None:
        """`held` is what each invocation that runs may settle itself, by its id."""
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.released = asyncio.Event()  #: set when its port is closed, too
        self._process, self._server, self._on_log, self._held = process, server, on_log, held
        self._over = False  #: whether nothing can be asked of it any more
        self.loaded = AppLoading(server, self.ended, lambda: process.returncode)  #: the app, once it is loaded
        self._answers: dict[str, asyncio.Future[InvocationResponse]] = {}  #: what the worker is to say of each invocation
        self._unanswered: dict[str, asyncio.Future[InvocationResponse]] = {}  #: what the host is to hear of it
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, begin: RpcStart, program: WorkerProgram, on_log: OnLog) -> tuple[RpcWorker, WorkerHello]:
        """Start the program and let it load the app. Raises AppLoadFailed, OSError."""
        worker_id = str(uuid.UUID(bytes=secrets.token_bytes(16)))  # 128 random bits; one of version 4 has 122
        held: dict[str, HeldMessages] = {}
        server = RpcServer(worker_id, partial(_holder, held))
        try:
            await server.open()
            process = await workerprocess.start(program, server.port, worker_id)
        except BaseException:
            await server.close()
            raise
        worker = cls(process, server, on_log, held)
        server.take_with(worker.take)
        worker._keep(worker._watch())
        try:
            return worker, await worker.loaded.load(program.app, begin)
        except BaseException:
            worker.kill()
            await worker.released.wait()
            raise

    # What the worker sends:

    def take(self, message: Any) -> None:
        """Take a message from the worker. One that does not fit is told and dropped."""
        try:
            self._take(message)
        except Exception:
            log.exception("A message of a worker could not be read.")

    def _take(self, message: Any) -> None:
        kind = message.WhichOneof("content")
        if kind == "rpc_log":
            self._log(message.rpc_log)
        elif kind == "invocation_response":
            self._answered(message.invocation_response)
        elif kind is not None:
            self.loaded.take(kind, getattr(message, kind))

    def _log(self, line: Any) -> None:
        """Log what a function wrote. Of what the worker says of itself only warnings and worse are for users."""
        level = _LEVELS[line.level] if line.level < len(_LEVELS) else "info"
        of_user = line.log_category == RpcLog.User and line.invocation_id in self._answers
        if level == "none" or line.log_category == RpcLog.CustomMetric or (not of_user and line.level < RpcLog.Warning):
            return
        text = line.message
        if line.HasField("exception"):
            text = f"{text} | {line.exception.message}"
        self._on_log(line.invocation_id if of_user else None, level, text)

    def _answered(self, answer: Any) -> None:
        waiting = self._answers.pop(answer.invocation_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(invocationmessages.response(answer))

    # What the host asks:

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def invoke(self, order: Json) -> asyncio.Future[InvocationResponse]:
        """Run one function. Raises WorkerLost, here or out of the future."""
        if self._over:
            raise WorkerLost
        loop = asyncio.get_running_loop()
        invocation, left = order["id"], order["deadline"] and order["deadline"] - time.time()
        waiting: asyncio.Future[InvocationResponse] = loop.create_future()
        function_id = self.loaded.ids.get(order["function"], "")
        if left is not None and left <= 0:
            waiting.set_result(InvocationResponse(ok=False, late=True))
        elif problem := self.loaded.problems.get(function_id):
            waiting.set_result(InvocationResponse(ok=False, message=problem, code="FunctionNotLoaded", text=problem.partition("\n")[0]))
        else:
            self._unanswered[invocation] = self._answers[invocation] = waiting
            if "held" in order:
                self._held[invocation] = order["held"]
            self._begin(order, function_id, waiting)
            if left is not None:
                timer = loop.call_later(left, self.stop, invocation)
                waiting.add_done_callback(lambda _: timer.cancel())
            waiting.add_done_callback(lambda _: self._forget(invocation))
        return waiting

    def _begin(self, order: Json, function_id: str, waiting: asyncio.Future[InvocationResponse]) -> None:
        invocation, value = order["id"], order["trigger"]["value"]
        call = value.get("call")
        if isinstance(call, HttpCall) and call.request.pieces is not None and self.loaded.app_server is not None:
            answered = self._answers[invocation] = asyncio.get_running_loop().create_future()
            forwarded = ForwardedCall(self.loaded.app_server, invocation, call.request, lambda: self._over)
            call.request.on_gone = partial(self._gone, invocation, forwarded)
            self._keep(self._forward(forwarded, answered, waiting))
        elif isinstance(call, HttpCall):
            call.request.on_gone = partial(self.stop, invocation)
        self._server.send(invocationmessages.request(order, function_id, self.loaded.knows))

    async def _forward(
        self, forwarded: ForwardedCall, answered: asyncio.Future[InvocationResponse], waiting: asyncio.Future[InvocationResponse]
    ) -> None:
        try:
            response = await forwarded.run(answered)
        except WorkerLost as lost:
            if not waiting.done():
                waiting.set_exception(lost)
            return
        if not waiting.done():
            waiting.set_result(response)

    def _forget(self, invocation: str) -> None:
        self._unanswered.pop(invocation, None)
        self._answers.pop(invocation, None)
        self._held.pop(invocation, None)

    def _gone(self, invocation: str, forwarded: ForwardedCall) -> None:
        forwarded.abort()
        asyncio.get_running_loop().call_later(_SEEN, self.stop, invocation)

    def unanswered(self, invocation: str) -> asyncio.Future[InvocationResponse] | None:
        """The answer that is still to come."""
        return self._unanswered.get(invocation)

    def stop(self, invocation: str) -> None:
        """Cancel one invocation, if the worker can: its CancellationToken fires."""
        if _CANCEL not in self.loaded.knows:
            return
        message = StreamingMessage()
        message.invocation_cancel.invocation_id = invocation
        self._server.send(message)

    def close(self) -> None:
        """Ask the worker to end. Calls that still run are not answered by it."""
        if _TERMINATE not in self.loaded.knows:
            with suppress(ProcessLookupError):
                self._process.terminate()
            return
        message = StreamingMessage()
        message.worker_terminate.grace_period.seconds = _GRACE
        self._server.send(message)

    def kill(self) -> None:
        """End the worker and the programs it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    # Its process:

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self) -> None:
        assert self._process.stdout is not None and self._process.stderr is not None  # noqa: S101, PT018 - both are pipes
        lines = [asyncio.create_task(self._lines(self._process.stdout, lambda _: "info"))]
        lines.append(asyncio.create_task(self._lines(self._process.stderr, level_of_error_line)))
        process = asyncio.create_task(self._process.wait())
        stream = asyncio.create_task(self._server.ended.wait())
        await asyncio.wait({process, stream}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({process}, timeout=_LAST_WORDS)
        if not process.done():
            log.error(
                "Process %d, a worker, has lost its stream and is ended. A message of more than %d bytes costs it.",
                self.pid,
                LARGEST_MESSAGE,
            )
        self.kill()  # a worker lives on without its stream, and so may a program that it has started
        await asyncio.wait({process})
        await asyncio.wait({stream, *lines} if self._server.started.done() else lines, timeout=_LAST_WORDS)
        stream.cancel()
        for each in lines:
            each.cancel()
        if self.loaded.app_server is not None:
            self.loaded.app_server.close()
        self._over = True
        if not self.ended.done():  # before its calls fail, so that none of them is followed by one that still comes here
            self.ended.set_result(None)
        for waiting in [*self._answers.values(), *self._unanswered.values()]:
            if not waiting.done():
                waiting.set_exception(WorkerLost())
        await self._server.close()
        self.released.set()

    async def _lines(self, stream: asyncio.StreamReader, level: Callable[[str], str]) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line longer than the reader's limit
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\r\n").removeprefix(_OF_THE_WORKER)
            self._on_log(None, level(text), text)


def _holder(held: Mapping[str, HeldMessages], lock: str, session: str) -> tuple[Feed, str] | None:
    """The feed and the lock of the message with this lock, or of any message of the session, that a call holds."""
    for each in held.values():
        if lock in each.sessions:
            return each.feed, lock
        if session and session in each.sessions.values():
            return each.feed, next(own for own, name in each.sessions.items() if name == session)
    return None
