"""The engine that runs an app through Microsoft's own `azure-functions-runtime`, the code that runs it in Azure (Python 3.13 and later).

In Azure a proxy speaks gRPC with the host and hands each message to this library; here the wire takes gRPC's place.
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

from . import protos, values
from .failure import LoadFailed
from .wire import Json

_PACKAGE = "azure_functions_runtime"
_NO_RETRY = SimpleNamespace(retry_count=0, max_retry_count=0, exception=None)


def available() -> bool:
    """Whether this interpreter has the runtime."""
    return importlib.util.find_spec(_PACKAGE) is not None


class RuntimeEngine:
    """One app, loaded into Microsoft's runtime (which holds it in module variables: one app a process)."""

    def __init__(self) -> None:
        self._runtime: Any = importlib.import_module(_PACKAGE)
        self._protos = protos.namespace()
        self._ids: dict[str, str] = {}
        self.title = f"azure-functions-runtime {importlib.metadata.version('azure-functions-runtime')}"

    async def load(self, directory: str) -> list[Json]:
        """Index the app in `directory`. Raises LoadFailed."""
        self._runtime.start_threadpool_executor()
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
        return [{"name": each.name, "bindings": [json.loads(text) for text in each.raw_bindings]} for each in found]

    async def invoke(self, order: Json) -> Json:
        """Run one function; the `done` message says how it went."""
        self._runtime.invocation_id_cv.set(order["id"])
        answer = await self._runtime.invocation_request(self._request(invocation_request=self._invocation(order)))
        done: Json = {"op": "done", "id": order["id"], "ok": answer.result.status == protos.StatusResult.Success}
        if not done["ok"]:
            return {**done, "error": {"message": answer.result.exception.message, "stack": answer.result.exception.stack_trace}}
        outputs = {each.name: _outgoing(each.data) for each in answer.output_data}
        return {**done, "result": _outgoing(answer.return_value), "outputs": outputs}

    def invocation(self) -> str | None:
        """The invocation that the calling code belongs to."""
        current: str | None = self._runtime.invocation_id_cv.get()
        return current

    def _request(self, **content: SimpleNamespace) -> SimpleNamespace:
        return SimpleNamespace(request=SimpleNamespace(**content), properties={"host": "127.0.0.1", "protos": self._protos})

    def _invocation(self, order: Json) -> SimpleNamespace:
        trigger, trace = order["trigger"], order["trace"]
        return SimpleNamespace(
            invocation_id=order["id"],
            function_id=self._ids[order["function"]],
            input_data=[protos.ParameterBinding(name=trigger["name"], data=_incoming(trigger["value"]))],
            trigger_metadata={name: _typed(*values.metadata(value)) for name, value in trigger["metadata"].items()},
            trace_context=SimpleNamespace(trace_parent=trace["parent"], trace_state=trace["state"], attributes={}),
            retry_context=_NO_RETRY,
        )


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
