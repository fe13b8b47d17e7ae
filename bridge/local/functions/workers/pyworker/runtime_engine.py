"""The engine that runs an app through Microsoft's own `azure-functions-runtime`, the code that runs it in Azure (Python 3.13 and later).

In Azure a proxy speaks gRPC with the host and hands each message to this library. Here JSON lines take the place of gRPC.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
from email.utils import formatdate
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any

from . import protos, retries, starts, threads, values
from .failure import LoadFailed
from .wire import Json

_PACKAGE = "azure_functions_runtime"


def available() -> bool:
    """Whether this interpreter has the runtime."""
    return importlib.util.find_spec(_PACKAGE) is not None


class RuntimeEngine:
    """One app, loaded into Microsoft's runtime (which holds it in module variables: one app a process)."""

    def __init__(self) -> None:
        self._runtime: Any = importlib.import_module(_PACKAGE)
        self._protos = protos.namespace()
        self._properties = {"host": "127.0.0.1", "protos": self._protos}
        self._ids: dict[str, str] = {}
        _check_before_async_functions(importlib.import_module(f"{_PACKAGE}.handle_event"))
        self.title = f"azure-functions-runtime {importlib.metadata.version('azure-functions-runtime')}"

    async def load(self, directory: str) -> list[Json]:
        """Load the app in `directory` and list its functions. Raises LoadFailed."""
        self._runtime.start_threadpool_executor()
        executor = self._runtime.get_threadpool_executor()
        threads.serve_executor(executor, vars(executor)["_max_workers"])  # the runtime has checked the setting and keeps it nowhere else
        init = SimpleNamespace(capabilities={}, function_app_directory=directory)
        answer = await self._runtime.worker_init_request(self._request(worker_init_request=init))
        if answer.result.status == protos.StatusResult.Failure:
            raise LoadFailed({"message": answer.result.exception.message, "stack": answer.result.exception.stack_trace})
        if "HttpUri" in answer.capabilities:
            raise LoadFailed(
                {"message": "The app streams HTTP (azurefunctions-extensions-http-fastapi), which this host does not run.", "stack": ""}
            )
        found = (await self._runtime.functions_metadata_request(self._request())).function_metadata_results or []
        self._ids = {each.name: each.function_id for each in found}
        return [
            {
                "name": each.name,
                "bindings": [json.loads(text) for text in each.raw_bindings],
                "retry": retries.written(vars(each.retry_options)) if each.retry_options is not None else None,
            }
            for each in found
        ]

    async def invoke(self, order: Json) -> Json:
        """Run one function and return its `done` message."""
        self._runtime.invocation_id_cv.set(order["id"])
        start = starts.begin(order["deadline"])
        answer = await self._runtime.invocation_request(self._request(invocation_request=self._invocation(order)))
        if answer.result.status != protos.StatusResult.Success:
            error = {"message": answer.result.exception.message, "stack": answer.result.exception.stack_trace}
            return start.failed(order["id"], error)
        outputs = {each.name: _outgoing(each.data) for each in answer.output_data}
        return {"op": "done", "id": order["id"], "ok": True, "result": _outgoing(answer.return_value), "outputs": outputs}

    def invocation(self) -> str | None:
        """The invocation that the calling code belongs to."""
        current: str | None = self._runtime.invocation_id_cv.get()
        return current

    def _request(self, **content: SimpleNamespace) -> SimpleNamespace:
        return SimpleNamespace(request=SimpleNamespace(**content), properties=self._properties)

    def _invocation(self, order: Json) -> SimpleNamespace:
        trigger, trace = order["trigger"], order["trace"]
        return SimpleNamespace(
            invocation_id=order["id"],
            function_id=self._ids[order["function"]],
            input_data=[protos.ParameterBinding(name=trigger["name"], data=_incoming(trigger["value"]))],
            trigger_metadata={name: _typed(*values.metadata(value)) for name, value in trigger["metadata"].items()},
            trace_context=SimpleNamespace(trace_parent=trace["parent"], trace_state=trace["state"], attributes={}),
            retry_context=retries.context(order.get("retry")),
        )


def _check_before_async_functions(handlers: Any) -> None:
    """Have the deadline checked directly before a coroutine function is called, which the runtime does by this name.

    Synchronous functions go through the threads of `WorkerLoop`, which check it themselves.
    """
    call = handlers.execute_async

    async def in_time(function: Any, arguments: Any) -> Any:
        start = starts.current()
        start.check()
        try:
            return await call(function, arguments)
        except Exception as raised:
            start.note(raised)
            raise

    handlers.execute_async = in_time


def _typed(kind: str, content: Any) -> protos.TypedData:
    return protos.TypedData(**{kind: content})


def _incoming(value: Json) -> protos.TypedData:
    kind, content = values.kind_and_content(value)
    if kind == "http":
        content = SimpleNamespace(**{**content, "body": protos.TypedData(bytes=content["body"])})
    return _typed(kind, content)


def _outgoing(data: protos.TypedData | None) -> Json | None:
    if data is None or (kind := data.WhichOneof("data")) is None:
        return None
    content = getattr(data, kind)
    if kind != "http":
        return values.outgoing(kind, content)
    body = content.body.bytes if content.body is not None else b""
    return values.http_answer(content.status_code, content.headers.items(), map(_cookie, content.cookies or ()), body)


def _cookie(sent: protos.RpcHttpCookie) -> SimpleCookie:
    cookie = SimpleCookie({sent.name: sent.value})
    given = {"domain": sent.domain, "path": sent.path, "secure": sent.secure, "httponly": sent.http_only, "max-age": sent.max_age}
    for name, optional in given.items():
        if optional is not None and optional.value:
            cookie[sent.name][name] = int(optional.value) if name == "max-age" else optional.value
    if sent.same_site:
        cookie[sent.name]["samesite"] = sent.same_site
    if sent.expires is not None:
        cookie[sent.name]["expires"] = formatdate(sent.expires.value.seconds, usegmt=True)
    return cookie
