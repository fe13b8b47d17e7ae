"""Custom handlers: the program that `customHandler` of host.json names answers the functions' calls over HTTP.

The program may be written in anything: Go, Rust, .NET, Node. It listens at the port in FUNCTIONS_CUSTOMHANDLER_PORT.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError
from bridge.local import keeper
from bridge.local.freeports import free_ports
from bridge.local.functions import apphostjson, appsettings, handlervalues, requesttarget
from bridge.local.functions.adminpages import VERSION
from bridge.local.functions.handlerclient import HandlerAnswer, HandlerBroke, HandlerClient, HandlerUnreachable
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.worker import InvocationResponse, Json, OnLog, WorkerHello, WorkerLost, WorkerProgram

LISTEN_SECONDS = 30.0  #: how long a call waits for the handler to listen
_LOOK_SECONDS = 0.05
_LONGEST_LINE = 65_536  #: bytes of output that are logged as one line
_LAST_WORDS_SECONDS = 1.0  #: how long the output of a handler that has ended is read
_IN_AZURE_NEVER = "Azure's host would not start it again after a 0, and every later call would fail"
_IN_AZURE_THRICE = "Azure's host would end at the third time"
_AGENT = f"Azure-Functions-Host/{VERSION}"
_FORWARD = "BRIDGE_HANDLER_FORWARDS"  #: names the functions whose requests are forwarded; for this module, the handler never sees it
_DROPPED = frozenset({"host", "content-length", "transfer-encoding", "content-type", "user-agent", "expect"})
_WARNS = re.compile("warn", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HandlerDescription:
    """`customHandler` of host.json."""

    executable: str
    arguments: Sequence[str] = ()
    worker_path: str = ""
    working_directory: str = ""
    forwards: bool = False  #: whether the handler gets the requests themselves


def describe(content: Mapping[str, Any], named: str) -> HandlerDescription:
    """What host.json says of the handler. Raises ConfigurationError."""
    handler = apphostjson.entry(content, "customHandler")
    description = apphostjson.entry(handler, "description")
    executable = apphostjson.entry(description, "defaultExecutablePath")
    if not isinstance(executable, str) or not executable:
        raise ConfigurationError([f"{named}: customHandler.description.defaultExecutablePath is missing; it names the program to start."])
    kind = apphostjson.entry(handler, "type")
    if kind is not None and str(kind).lower() not in ("none", "http"):
        raise ConfigurationError([f"{named}: customHandler.type is {kind!r}; it must be http, or left out."])
    arguments = apphostjson.entry(description, "arguments")
    return HandlerDescription(
        executable,
        [str(each) for each in arguments] if isinstance(arguments, list) else (),
        str(apphostjson.entry(description, "defaultWorkerPath") or ""),
        str(apphostjson.entry(description, "workingDirectory") or ""),
        str(apphostjson.entry(handler, "enableForwardingHttpRequest")).lower() == "true",
    )


def program(description: HandlerDescription, app: Path, settings: Mapping[str, str], simple: Sequence[str]) -> WorkerProgram:
    """How the handler of the app in `app` is started. `simple` are the functions with HTTP in and out and nothing else."""
    folder = app / appsettings.expanded(description.working_directory, settings)
    executable = appsettings.expanded(description.executable, settings)
    beside = folder / executable
    command = [str(beside) if beside.is_file() else executable]
    if description.worker_path:
        command.append(appsettings.expanded(description.worker_path, settings))
    # Azure joins the arguments with blanks and quotes none, so one that holds a blank arrives as several.
    command += shlex.split(" ".join(appsettings.expanded(each, settings) for each in description.arguments))
    environment = {
        **settings,
        "FUNCTIONS_WORKER_RUNTIME": "custom",
        "AzureWebJobsScriptRoot": str(app),
        _FORWARD: " ".join(simple) if description.forwards else "",
    }
    return WorkerProgram(command, folder, environment, app, start=HandlerWorker.start)


class HandlerWorker:
    """A running handler; use `start`. See `AppWorker`."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, forwards: frozenset[str], on_log: OnLog) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Any] = loop.create_future()
        self._process, self._on_log, self._forwards = process, on_log, forwards
        self._client = HandlerClient(port)
        self._asked_to_end = False
        self._running: dict[str, asyncio.Future[InvocationResponse]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._keep(self._watch())

    @classmethod
    async def start(cls, program: WorkerProgram, on_log: OnLog) -> tuple[HandlerWorker, WorkerHello]:
        """Start the program; it may take its time until it listens. Raises OSError."""
        port = free_ports(1)[0]
        environment = {name: text for name, text in program.environment.items() if name != _FORWARD}
        ports = {"FUNCTIONS_CUSTOMHANDLER_PORT": str(port), "FUNCTIONS_HTTPWORKER_PORT": str(port)}
        try:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                cwd=program.folder,
                env={**environment, **ports, "FUNCTIONS_CUSTOMHANDLER_WORKER_ID": str(uuid.uuid4())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=keeper.ending_with(os.getpid(), signal.SIGKILL),  # it does not outlive a host that is killed
            )
        except FileNotFoundError as missing:
            told = f"{program.command[0]}, which defaultExecutablePath of host.json names, is neither in {program.folder} nor on the PATH"
            raise FileNotFoundError(missing.errno, f"{told}; build it, or correct the name") from None
        forwards = frozenset(program.environment.get(_FORWARD, "").split())
        return cls(process, port, forwards, on_log), WorkerHello(f"custom handler {program.command[0]}", [])

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def invoke(self, order: Json) -> asyncio.Future[InvocationResponse]:
        """Run one function. Raises WorkerLost, here or out of the future."""
        if self.ended.done():
            raise WorkerLost
        waiting: asyncio.Future[InvocationResponse] = asyncio.get_running_loop().create_future()
        self._running[order["id"]] = waiting
        self._keep(self._run(order, waiting))
        return waiting

    def unanswered(self, invocation: str) -> asyncio.Future[InvocationResponse] | None:
        """The answer that is still to come."""
        return self._running.get(invocation)

    def stop(self, invocation: str) -> None:
        """A handler cannot be asked to end one call."""

    def close(self) -> None:
        """Ask the process to end."""
        self._asked_to_end = True
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End the process and the programs it has started."""
        self._asked_to_end = True
        self._client.close()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _keep(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self) -> None:
        assert self._process.stdout is not None and self._process.stderr is not None  # noqa: S101, PT018 - both are pipes
        written = asyncio.gather(self._lines(self._process.stdout, "info"), self._lines(self._process.stderr, "error"))
        code = await self._process.wait()
        with suppress(TimeoutError):  # a program that it has started may hold its output open
            await asyncio.wait_for(written, _LAST_WORDS_SECONDS)
        if not self._asked_to_end:
            self._on_log(None, "warning", f"the handler ended with exit code {code}; {_IN_AZURE_NEVER if code == 0 else _IN_AZURE_THRICE}")
        self._client.close()
        if not self.ended.done():
            self.ended.set_result(None)
        for waiting in self._running.values():
            if not waiting.done():
                waiting.set_exception(WorkerLost())

    async def _lines(self, stream: asyncio.StreamReader, level: str) -> None:
        """Log what the handler writes, to the last word. Standard error is errors, unless a line warns."""
        begun = b""
        try:
            while data := await stream.read(_LONGEST_LINE):
                *whole, begun = (begun + data).split(b"\n")
                if len(begun) >= _LONGEST_LINE:
                    whole, begun = [*whole, begun], b""
                for line in whole:
                    self._log_line(line, level)
        finally:
            if begun:
                self._log_line(begun, level)

    def _log_line(self, line: bytes, level: str) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self._on_log(None, "warning" if level == "error" and _WARNS.search(text) else level, text)

    async def _run(self, order: Json, waiting: asyncio.Future[InvocationResponse]) -> None:
        try:
            response = await self._answered(order)
        except (HandlerBroke, HandlerUnreachable, handlervalues.BadAnswer) as why:
            response = InvocationResponse(ok=False, message=str(why), code="HandlerFailed", text=str(why))
        except Exception as mistake:
            if not waiting.done():
                waiting.set_exception(mistake)
            raise
        finally:
            self._running.pop(order["id"], None)
        if not waiting.done():
            waiting.set_result(response)

    async def _answered(self, order: Json) -> InvocationResponse:
        function, trigger = order["function"], order["trigger"]
        own = [("X-Azure-Functions-HostVersion", VERSION), ("X-Azure-Functions-InvocationId", order["id"])]
        held = trigger["value"].get("handler")
        if held is not None and function in self._forwards:
            answer = await self._listening(*_forwarded(held["request"], held["body"], own))
            return InvocationResponse(ok=True, result={"http": _passed_on(answer)})
        payload = held["payload"] if held else handlervalues.message(function, trigger["name"], trigger["value"], trigger["metadata"])
        payload = handlervalues.with_retry(payload, function, order.get("retry"))
        headers = [("Content-Type", "application/json; charset=utf-8"), ("User-Agent", _AGENT), *own]
        answer = await self._listening("POST", f"/{function}", headers, json.dumps(payload).encode(), chunked=True)
        if not 200 <= answer.status < 300:
            raise handlervalues.BadAnswer(f"its handler answered with status {answer.status}")
        response, lines = handlervalues.answered(b"" if answer.status == 204 else answer.body, answer.header("content-type"))
        for line in lines:
            self._on_log(order["id"], "info", line)
        return response

    async def _listening(
        self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes, *, chunked: bool = False
    ) -> HandlerAnswer:
        """Ask the handler, once it listens. Raises HandlerUnreachable, HandlerBroke."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LISTEN_SECONDS
        while True:
            try:
                return await self._client.ask(method, target, headers, body, chunked=chunked)
            except HandlerUnreachable:
                if self.ended.done():
                    raise
                if loop.time() >= until:
                    raise HandlerUnreachable(
                        f"its handler does not listen at the port in FUNCTIONS_CUSTOMHANDLER_PORT after {LISTEN_SECONDS:.0f} s"
                    ) from None
            await asyncio.sleep(_LOOK_SECONDS)


def _forwarded(request: HttpRequest, body: bytes, own: Sequence[tuple[str, str]]) -> tuple[str, str, list[tuple[str, str]], bytes]:
    """Method, target, headers and body of a request that the handler gets itself. Raises BadAnswer for one that cannot be forwarded."""
    joined: dict[str, tuple[str, str]] = {}
    for name, text in request.sent_headers:
        known = joined.get(name.lower())
        joined[name.lower()] = (known[0], f"{known[1]}, {text}") if known else (name, text)
    if any(not text.isascii() for _, text in joined.values()):
        raise handlervalues.BadAnswer("a header of the request is not ASCII, and cannot be forwarded")
    headers = [pair for key, pair in joined.items() if key not in _DROPPED]
    agent = joined.get("user-agent", ("", ""))[1]
    headers.append(("User-Agent", f"{agent} {_AGENT}".strip()))
    if body and "content-type" in joined:
        headers.append(("Content-Type", joined["content-type"][1]))
    if body or "content-length" in joined or "transfer-encoding" in joined or request.method in ("POST", "PUT", "PATCH"):
        headers.append(("Content-Length", str(len(body))))
    target = requesttarget.forwarded(request.target) if request.target is not None else request.path
    return request.method, target, [*headers, *own], body


def _passed_on(answer: HandlerAnswer) -> HttpResponse:
    dropped = ("date", "server")
    return HttpResponse(answer.status, [(name, text) for name, text in answer.headers if name.lower() not in dropped], answer.body)
