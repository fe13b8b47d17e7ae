"""How a worker loads an app: it connects, says what it can do and which functions there are, and loads each."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bridge.local.functions.adminpages import VERSION
from bridge.local.functions.rpc import indexing
from bridge.local.functions.rpc.appserver import AppServer
from bridge.local.functions.rpc.protocol import StatusResult, StreamingMessage
from bridge.local.functions.rpc.rpcserver import RpcServer
from bridge.local.functions.rpc.workerconfig import RpcStart
from bridge.local.functions.worker import AppLoadFailed, WorkerHello

_ENDED = "The worker ended{} while it loaded the app; the lines it wrote to the log may say why."


class AppLoading:
    """Loads an app once."""

    def __init__(self, server: RpcServer, ended: asyncio.Future[Any], exit_code: Callable[[], int | None]) -> None:
        """`ended` is set when the process has ended, with this exit code."""
        self._send, self._started, self._ended, self._exit_code = server.send, server.started, ended, exit_code
        self._expecting: dict[str, asyncio.Future[Any]] = {}
        self.knows: frozenset[str] = frozenset()  #: what the worker says that it can do
        self.app_server: AppServer | None = None  #: of an app that gets its HTTP requests itself
        self.ids: dict[str, str] = {}  #: of the functions, by their names
        self.problems: dict[str, str] = {}  #: why a function cannot run, by its id

    def take(self, kind: str, content: Any) -> None:
        """Take an answer of the worker."""
        if kind == "function_load_response":
            if content.result.status != StatusResult.Success:
                self.problems[content.function_id] = content.result.exception.message or "the worker could not load it"
            kind = f"load {content.function_id}"
        expected = self._expecting.pop(kind, None)
        if expected is not None and not expected.done():
            expected.set_result(content)

    async def load(self, app: Path, begin: RpcStart) -> WorkerHello:
        """Let the worker load the app. Raises AppLoadFailed."""
        await self._step(self._started, begin.seconds, "has not connected to this host")
        message = StreamingMessage()
        request = message.worker_init_request
        request.host_version, request.function_app_directory = VERSION, str(app)
        request.worker_directory = str(begin.worker_directory or app)
        init = await self._asked(message, "worker_init_response", begin.seconds)
        _check(init.result)
        self.knows = frozenset(name for name, value in init.capabilities.items() if value)
        functions = await self._functions(app, begin)
        reported = [indexing.described(each) for each in functions]
        try:
            if uri := init.capabilities.get("HttpUri"):
                self.app_server = AppServer(uri)
        except ValueError as wrong:
            raise AppLoadFailed(f"What its worker reports does not fit: {wrong}.") from None
        sound = [each for each, said in zip(functions, reported, strict=True) if "problem" not in said]
        await self._load_functions(sound, begin.seconds)
        return WorkerHello(_title(init), reported, forwards=self.app_server is not None)

    async def _functions(self, app: Path, begin: RpcStart) -> list[Any]:
        if begin.described is not None:
            return [indexing.from_file(each) for each in begin.described]
        message = StreamingMessage()
        message.functions_metadata_request.function_app_directory = str(app)
        answer = await self._asked(message, "function_metadata_response", begin.seconds)
        _check(answer.result)
        if answer.use_default_metadata_indexing:
            return [indexing.from_file(each) for each in begin.by_files]
        return list(answer.function_metadata_results)

    async def _load_functions(self, functions: Sequence[Any], seconds: float) -> None:
        """Load each; one that cannot be loaded fails whenever it is called, as in Azure."""
        pending: list[asyncio.Future[Any]] = []
        for each in functions:
            function_id = each.function_id or each.properties.get("FunctionId") or str(uuid.uuid4())
            self.ids[each.name] = function_id
            if problem := indexing.problem(each):
                self.problems[function_id] = problem
            message = StreamingMessage()
            message.function_load_request.CopyFrom(indexing.to_load(each, function_id))
            pending.append(self._expected(f"load {function_id}"))
            self._send(message)
        if pending:
            await self._step(asyncio.gather(*pending), seconds, "has not loaded its functions")

    async def _asked(self, message: Any, answer: str, seconds: float) -> Any:
        expected = self._expected(answer)
        self._send(message)
        return await self._step(expected, seconds, f"has not sent {answer}")

    def _expected(self, what: str) -> asyncio.Future[Any]:
        return self._expecting.setdefault(what, asyncio.get_running_loop().create_future())

    async def _step(self, step: asyncio.Future[Any], seconds: float, missing: str) -> Any:
        await asyncio.wait({step, self._ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if step.done():
            return step.result()
        step.add_done_callback(lambda _: step.cancelled() or step.exception())  # asyncio tells of what nobody has asked for
        step.cancel()
        if not self._ended.done():
            raise AppLoadFailed(f"Its worker {missing} within {seconds:g} s.")
        raise AppLoadFailed(_ENDED.format(f" with exit code {self._exit_code()}"), ended=True)


def _title(init: Any) -> str:
    """The worker and what it runs on, as far as it says so."""
    about = init.worker_metadata
    worker = f"worker {about.worker_version or init.worker_version}".rstrip()
    return f"{worker} on {about.runtime_name} {about.runtime_version}".rstrip() if about.runtime_name else worker


def _check(result: Any) -> None:
    """Raises AppLoadFailed for a step that the worker says has failed."""
    if result.status != StatusResult.Success:
        raise AppLoadFailed(result.exception.message or "Its worker could not load the app.", result.exception.stack_trace)
