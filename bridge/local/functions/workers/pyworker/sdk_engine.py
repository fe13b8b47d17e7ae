"""The engine for interpreters without `azure-functions-runtime`: the app's functions, with the converters of the azure-functions SDK.

It runs the same functions with the same arguments, but not through the code that runs them in Azure: what only the runtime
checks at load (annotations, for one) goes unnoticed here.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import importlib.metadata
import inspect
import json
import os
import pathlib
import threading
import typing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from . import values
from .failure import LoadFailed, describe
from .wire import Json

_current: contextvars.ContextVar[str | None] = contextvars.ContextVar("invocation", default=None)


@dataclass(frozen=True)
class _Function:
    call: Any
    directory: str
    parameters: frozenset[str]
    hints: dict[str, Any]
    types: dict[str, str]  #: binding type by parameter name
    outputs: frozenset[str]  #: parameters of output bindings
    returns: str | None  #: type of the binding that takes the return value


class _Out:
    """Takes the value of an output binding."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, value: Any) -> None:
        self._value = value

    def get(self) -> Any:
        return self._value


@dataclass(frozen=True)
class _Context:
    """What a function with a `context` parameter gets."""

    invocation_id: str
    function_name: str
    function_directory: str
    trace_context: Any
    retry_context: Any = field(default_factory=lambda: SimpleNamespace(retry_count=0, max_retry_count=0, exception=None))
    thread_local_storage: Any = field(default_factory=threading.local)


class SdkEngine:
    """One app, called directly."""

    def __init__(self) -> None:
        try:
            self._sdk: Any = importlib.import_module("azure.functions")
            self.title = f"azure-functions {importlib.metadata.version('azure-functions')} alone"
        except ImportError:
            self._sdk = None
            self.title = "no azure-functions"
        self._functions: dict[str, _Function] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def load(self, directory: str) -> list[Json]:
        """Index the app in `directory`. Raises LoadFailed."""
        if self._sdk is None:
            raise LoadFailed({"message": "This interpreter has no package azure-functions; `make setup` installs it.", "stack": ""})
        count = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT")
        self._threads = ThreadPoolExecutor(int(count) if count else None)
        try:
            module = importlib.import_module(pathlib.Path(os.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")).stem)
            found = self._app(module).get_functions()
            return [self._index(each, directory) for each in found]
        except Exception as failure:  # an app may raise anything while it is imported
            raise LoadFailed(describe(failure)) from failure

    def _app(self, module: Any) -> Any:
        apps = {id(each): each for each in vars(module).values() if isinstance(each, self._sdk.FunctionRegister)}
        if len(apps) != 1:
            raise ValueError(f"{module.__name__} defines {len(apps)} function apps; exactly one must be at its top level")
        return next(iter(apps.values()))

    def _index(self, built: Any, directory: str) -> Json:
        bindings = [json.loads(text) for text in built.get_raw_bindings()]
        call = built.get_user_function()
        outputs = {each["name"]: each["type"] for each in bindings if each["direction"].upper() == "OUT"}
        self._functions[built.get_function_name()] = _Function(
            call=call,
            directory=directory,
            parameters=frozenset(inspect.signature(call).parameters),
            hints=typing.get_type_hints(call),
            types={each["name"]: each["type"] for each in bindings},
            outputs=frozenset(outputs) - {"$return"},
            returns=outputs.get("$return"),
        )
        return {"name": built.get_function_name(), "bindings": bindings}

    async def invoke(self, order: Json) -> Json:
        """Run one function; the `done` message says how it went."""
        _current.set(order["id"])
        done: Json = {"op": "done", "id": order["id"]}
        try:
            return {**done, "ok": True, **await self._called(order)}
        except Exception as failure:  # noqa: BLE001 - a function may raise anything; all of it is a failed invocation
            return {**done, "ok": False, "error": describe(failure)}

    async def _called(self, order: Json) -> Json:
        function = self._functions[order["function"]]
        arguments = self._arguments(function, order)
        if inspect.iscoroutinefunction(function.call):
            answer = await function.call(**arguments)
        else:
            run = contextvars.copy_context().run
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, lambda: run(function.call, **arguments))
        if answer is not None and function.returns is None:
            raise RuntimeError(f"function {order['function']} returned a value but has no $return binding")
        outputs = {name: self._encode(function.types[name], arguments[name].get()) for name in function.outputs}
        result = self._encode(function.returns, answer) if function.returns is not None else None
        return {"result": result, "outputs": {name: value for name, value in outputs.items() if value is not None}}

    def _arguments(self, function: _Function, order: Json) -> dict[str, Any]:
        trigger = order["trigger"]
        arguments: dict[str, Any] = {trigger["name"]: self._decode(function, trigger)}
        arguments |= {name: _Out() for name in function.outputs}
        if "context" in function.parameters:
            trace = SimpleNamespace(trace_parent=order["trace"]["parent"], trace_state=order["trace"]["state"], attributes={})
            arguments["context"] = _Context(order["id"], order["function"], function.directory, trace)
        return arguments

    def _decode(self, function: _Function, trigger: Json) -> Any:
        kind, content = values.kind_and_content(trigger["value"])
        wanted = function.hints.get(trigger["name"])
        if kind != "http" and wanted in (str, bytes):
            text = content if isinstance(content, bytes) else content.encode()
            return text if wanted is bytes else text.decode()
        if kind == "http":
            content = {name: self._http_part(name, part) for name, part in content.items()}
        metadata = {name: self._datum(*values.metadata(value)) for name, value in trigger["metadata"].items()}
        return self._converter(function.types[trigger["name"]]).decode(self._datum(kind, content), trigger_metadata=metadata)

    def _http_part(self, name: str, part: Any) -> Any:
        if isinstance(part, dict):
            return {key: self._datum("string", value) for key, value in part.items()}
        return self._datum("bytes" if name == "body" else "string", part)

    def _encode(self, binding: str | None, value: Any) -> Json | None:
        if value is None and binding != "http":
            return None
        try:
            datum = self._converter(binding).encode(value, expected_type=None)
        except NotImplementedError:
            raise TypeError(f"a {type(value).__name__} cannot be sent through the {binding} binding") from None
        if datum.type != "http":
            return values.outgoing(datum.type, datum.value)
        parts = datum.value
        headers = [(name, header.value) for name, header in parts["headers"].items()]
        return values.http_answer(parts["status_code"].value, headers, parts["cookies"] or (), parts["body"].value)

    def _converter(self, binding: str | None) -> Any:
        converter = self._sdk.get_binding_registry().get(binding)
        if converter is None:
            raise TypeError(f"the azure-functions SDK has no converter for the binding {binding}")
        return converter

    def _datum(self, kind: str, content: Any) -> Any:
        return self._sdk.meta.Datum(type=kind, value=content)

    def invocation(self) -> str | None:
        """The invocation that the calling code belongs to."""
        return _current.get()
