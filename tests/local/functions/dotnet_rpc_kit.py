"""A C# app run by its worker alone, without a host in front, and what is seen of each call at the level of the protocol."""

from __future__ import annotations

import asyncio
import os
import re
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from bridge.local.functions.feed import ActionKind, Feed, FeedError, MessageAction
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.invocations import HeldMessages
from bridge.local.functions.rpc import dotnetapp, invocationmessages
from bridge.local.functions.rpc.httpvalues import HttpCall
from bridge.local.functions.rpc.rpcworker import RpcWorker
from bridge.local.functions.servicebus import ownoutcomes
from bridge.local.functions.worker import InvocationResponse

from . import dotnet_kit

Json = dict[str, Any]
"""TypedData and the like as the JSON of protobuf has them."""

LOCK = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"  #: of every message in the recording
SESSION = "s1"
_LEVELS = {"trace": "Trace", "debug": "Debug", "info": "Information", "warning": "Warning", "error": "Error", "critical": "Critical"}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_METHODS = {
    ActionKind.COMPLETE: "Complete",
    ActionKind.ABANDON: "Abandon",
    ActionKind.DEFER: "Defer",
    ActionKind.DEAD_LETTER: "Deadletter",
}


class RecordingFeed:
    """Stands for a broker: says what a function did with its message and its session."""

    def __init__(self, refused: Mapping[str, str] | None = None) -> None:
        """`refused` is `{method, code}` of what the broker does not do, because a lock is lost or for another reason."""
        self.calls: list[tuple[str, Json]] = []
        self.until = datetime(2030, 1, 1, tzinfo=UTC)
        self._refused, self._state = dict(refused or {}), b"before "

    def _call(self, method: str, **values: Any) -> None:
        self.calls.append((method, {name: value for name, value in values.items() if value}))
        if method == self._refused.get("method"):
            raise KeyError(LOCK) if self._refused.get("code") == "FAILED_PRECONDITION" else FeedError("the broker says no")

    async def act(self, lock: str, action: MessageAction) -> None:
        self._call(
            _METHODS[action.kind],
            locktoken=_shown(lock),
            propertiesToModify=dict(action.properties),
            deadletterReason=action.reason,
            deadletterErrorDescription=action.description,
        )

    async def renew(self, lock: str | None = None) -> None:
        if lock is None:
            self._call("RenewSessionLock", sessionId=SESSION)
        else:
            self._call("RenewMessageLock", locktoken=_shown(lock))

    def session(self, _lock: str) -> RecordingFeed:
        return self

    async def state(self) -> bytes:
        self._call("GetSessionState", sessionId=SESSION)
        return self._state

    async def set_state(self, state: bytes) -> None:
        self._call("SetSessionState", sessionId=SESSION, sessionState=b64encode(state).decode())
        self._state = state

    def release(self) -> None:
        self._call("ReleaseSession", sessionId=SESSION)


class WorkerAlone:
    """A worker that has loaded an app; use `alone`."""

    def __init__(self, worker: RpcWorker, lines: list[tuple[str | None, str, str]]) -> None:
        self.worker, self._lines = worker, lines

    def order(self, function: str, inputs: Json, *, seconds: float | None = None) -> Json:
        """An order as the host gives it, with a deadline so many seconds from now."""
        return {
            "id": str(uuid.uuid4()),
            "function": function,
            "trigger": {"name": "", "value": {}, "metadata": {}},
            "inputs": inputs,
            "trace": {"parent": "", "state": ""},
            "deadline": None if seconds is None else time.time() + seconds,
        }

    def request(self, order: Json) -> Any:
        """The message of the protocol for an order."""
        return invocationmessages.request(order, self.worker.loaded.ids[order["function"]], self.worker.loaded.knows)

    async def call(self, vector: Json) -> Json:
        """Make the call of a vector: `{status, outputs, returnValue, exception, settlement, log}`, without what is empty."""
        feed = RecordingFeed(vector.get("refuse"))
        order = self.order(vector["function"], {name: _sent(each) for name, each in vector["inputs"].items()})
        order["trigger"]["metadata"] = {name: _sent(each) for name, each in vector.get("metadata", {}).items()}
        order["held"] = HeldMessages(cast("Feed", feed), {LOCK: SESSION})
        invocation = order["id"]
        answer = self.worker.invoke(order)
        if "cancelAfter" in vector:
            asyncio.get_running_loop().call_later(vector["cancelAfter"], self.worker.stop, invocation)
        response = await asyncio.wait_for(answer, 30)
        lines = [[_LEVELS[level], _GUID.sub("{guid}", text.partition(" | ")[0])] for own, level, text in self._lines if own == invocation]
        return {name: value for name, value in {**_seen(response), "settlement": feed.calls, "log": lines}.items() if value}


def posted(address: str, body: bytes) -> Json:
    """The value for a request to an HTTP function."""
    return {"call": HttpCall(HttpRequest("POST", address, "", {}, {}), {}, body, None)}


def _shown(lock: str) -> str:
    return "{lock}" if lock == LOCK else lock


def _sent(data: Json) -> Json:
    """TypedData as the host has values."""
    if not data:
        return {}
    ((kind, content),) = data.items()
    if kind == "http":
        body = b64decode((content.get("body") or {}).get("bytes", ""))
        return {"call": HttpCall(HttpRequest(content["method"], content["url"], "", {}, {}), {}, body, None)}
    if kind in ("collection_string", "collection_bytes", "collection_double", "collection_sint64"):
        return {kind: content.get(kind.removeprefix("collection_"), [])}
    if kind == "model_binding_data":
        return {kind: {"version": "", **content, "content": b64decode(content["content"])}}
    if kind == "collection_model_binding_data":
        return {kind: [{"version": "", **each, "content": b64decode(each["content"])} for each in content["model_binding_data"]]}
    return {kind: int(content) if kind == "int" else content}


def _seen(response: InvocationResponse) -> Json:
    if not response.ok:
        return {"status": "Failure", "exception": {"type": response.code, "message": response.text}}
    outputs = {name: _typed(value) for name, value in response.outputs.items()}
    return {"status": "Success", "outputs": outputs, "returnValue": None if response.result is None else _typed(response.result)}


def _typed(value: Json) -> Json:
    answer = value.get("http")
    if not isinstance(answer, HttpResponse):
        return value
    return {"http": {"body": {"bytes": b64encode(answer.body).decode()}, "status_code": str(answer.status)}}


def expected(vector: Json) -> Json:
    """What a vector expects, in the same form."""
    found = dict(vector["expect"])
    if "exception" in found:
        found["exception"] = {name: found["exception"][name] for name in ("type", "message")}
    calls = [(method, dict(values)) for method, values in found.get("settlement", ())]
    for _, values in calls:
        if "propertiesToModify" in values:
            values["propertiesToModify"] = ownoutcomes.properties(b64decode(values["propertiesToModify"]))
    return {name: value for name, value in {**found, "settlement": calls}.items() if value}


@asynccontextmanager
async def alone(app: str, folder: Path, **environment: str) -> AsyncIterator[WorkerAlone]:
    """The worker of one of the apps, started in a copy below `folder`."""
    dotnet_kit.copy_app(app, folder / app)
    lines: list[tuple[str | None, str, str]] = []
    program = dotnetapp.program(str(dotnet_kit.runner()), folder / app, {**os.environ, **environment}, "")
    worker, _ = await program.start(program, lambda *line: lines.append(line))
    try:
        yield WorkerAlone(worker, lines)
    finally:
        worker.close()
        await asyncio.wait([worker.ended], timeout=5)
        worker.kill()
        await worker.released.wait()
