"""The engine for interpreters without `azure-functions-runtime`. It calls functions through the converters of the azure-functions SDK.

The functions get the same arguments, but not through the code that runs them in Azure. What only the runtime checks when it loads an
app, such as annotations, goes unnoticed here.
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
import sys
import threading
import types
import typing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from . import retries, starts, threads, values
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
    retry_context: Any
    thread_local_storage: Any = field(default_factory=threading.local)


def _function_of(described: Json, directory: str) -> Any:
    """The function that function.json names, imported as Azure's worker does: below the package `__app__`, so `from ..shared` works."""
    if "__app__" not in sys.modules:
        package = types.ModuleType("__app__")
        package.__path__ = [directory]
        sys.modules["__app__"] = package
    script = pathlib.Path(described["scriptFile"]).relative_to(directory).with_suffix("")
    parts = script.parts[:-1] if script.name == "__init__" else script.parts
    module = importlib.import_module(".".join(("__app__", *parts)))
    return getattr(module, described["entryPoint"] or "main")


class SdkEngine:
    """One app, whose functions are called directly."""

    def __init__(self, by_files: list[Json] | None = None) -> None:
        self._by_files = by_files  #: what function.json says of each function, in the model v1
        try:
            self._sdk: Any = importlib.import_module("azure.functions")
            self.title = f"azure-functions {importlib.metadata.version('azure-functions')} alone"
        except ImportError:
            self._sdk = None
            self.title = "no azure-functions"
        self._functions: dict[str, _Function] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def load(self, directory: str) -> list[Json]:
        """Load the app in `directory` and list its functions. Raises LoadFailed."""
        if self._sdk is None:
            raise LoadFailed({"message": "This interpreter has no package azure-functions; `make setup` installs it.", "stack": ""})
        count = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT")
        self._threads = ThreadPoolExecutor(int(count) if count else None)
        threads.serve_executor(self._threads, vars(self._threads)["_max_workers"])
        try:
            if self._by_files is not None:
                return [self._index_file(each, directory) for each in self._by_files]
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

    def _index_file(self, described: Json, directory: str) -> Json:
        """Load a function of the model v1. What cannot be loaded is a problem of that function alone."""
        bindings = [{**each, "direction": each["direction"].upper()} for each in described["bindings"]]
        try:
            call = _function_of(described, directory)
            self._register(described["name"], bindings, call, described["directory"])
        except Exception as failure:  # noqa: BLE001 - a script may raise anything while it is imported
            return {"name": described["name"], "bindings": bindings, "problem": describe(failure)["message"]}
        return {"name": described["name"], "bindings": bindings}

    def _index(self, built: Any, directory: str) -> Json:
        bindings = [json.loads(text) for text in built.get_raw_bindings()]
        self._register(built.get_function_name(), bindings, built.get_user_function(), directory)
        policy = built.get_settings_dict("retry_policy")
        return {"name": built.get_function_name(), "bindings": bindings, "retry": retries.written(policy) if policy else None}

    def _register(self, name: str, bindings: list[Json], call: Any, directory: str) -> None:
        outputs = {each["name"]: each["type"] for each in bindings if each["direction"].upper() == "OUT"}
        self._functions[name] = _Function(
            call=call,
            directory=directory,
            parameters=frozenset(inspect.signature(call).parameters),
            hints=typing.get_type_hints(call),
            types={each["name"]: each["type"] for each in bindings},
            outputs=frozenset(outputs) - {"$return"},
            returns=outputs.get("$return"),
        )

    async def invoke(self, order: Json) -> Json:
        """Run one function and return its `done` message."""
        _current.set(order["id"])
        start = starts.begin(order["deadline"])
        try:
            return {"op": "done", "id": order["id"], "ok": True, **await self._called(order, start)}
        except Exception as failure:  # noqa: BLE001 - a function may raise anything; all of it is a failed invocation
            return start.failed(order["id"], describe(failure))

    async def _called(self, order: Json, start: starts.InvocationStart) -> Json:
        function = self._functions[order["function"]]
        arguments = self._arguments(function, order)
        if inspect.iscoroutinefunction(function.call):
            start.check()
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
            arguments["context"] = _Context(order["id"], order["function"], function.directory, trace, retries.context(order.get("retry")))
        return arguments

    def _decode(self, function: _Function, trigger: Json) -> Any:
        kind, content = values.kind_and_content(trigger["value"])
        wanted = function.hints.get(trigger["name"])
        if kind != "http" and wanted in (str, bytes):
            text = content if isinstance(content, bytes) else content.encode()
            return text if wanted is bytes else text.decode()
        if kind == "http":
            content = {name: self._http_field(name, value) for name, value in content.items()}
        metadata = {name: self._datum(*values.metadata(value)) for name, value in trigger["metadata"].items()}
        return self._converter(function.types[trigger["name"]]).decode(self._datum(kind, content), trigger_metadata=metadata)

    def _http_field(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._datum("string", text) for key, text in value.items()}
        return self._datum("bytes" if name == "body" else "string", value)

    def _encode(self, binding: str | None, value: Any) -> Json | None:
        if value is None and binding != "http":
            return None
        try:
            datum = self._converter(binding).encode(value, expected_type=None)
        except NotImplementedError:
            raise TypeError(f"a {type(value).__name__} cannot be sent through the {binding} binding") from None
        if datum.type != "http":
            return values.outgoing(datum.type, datum.value)
        fields = datum.value
        headers = [(name, header.value) for name, header in fields["headers"].items()]
        return values.http_answer(fields["status_code"].value, headers, fields["cookies"] or (), fields["body"].value)

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
