"""A worker that speaks Azure's protocol, and misbehaves as FAKE_WORKER says."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from queue import Queue
from typing import Any

import grpc

from bridge.local.functions.rpc.protocol import StatusResult, StreamingMessage

HOW = os.environ.get("FAKE_WORKER", "sound")
GIVEN = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
RAW = {
    "rubbish": "no JSON",
    "nameless": '{"type": "httpTrigger"}',
    "misnamed": '{"name": "request", "type": "httpTrigger"}',
    "misdirected": '{"name": "request", "type": "httpTrigger", "direction": "sideways"}',
}
SOUND = '{"name": "request", "type": "httpTrigger", "direction": "In"}'


def main() -> None:
    if HOW == "talking":
        sys.stdout.write("an error on standard output\n")
        sys.stderr.write("leaving\nLanguageWorkerConsoleLogA WARNING\nUnhandled exception. X: y\n   at App.Main()\nit failed\n")
    if HOW == "silent":
        time.sleep(600)
    channel = grpc.insecure_channel(f"127.0.0.1:{GIVEN['--port']}", options=[("grpc.max_send_message_length", -1)])
    stream = channel.stream_stream("/AzureFunctionsRpcMessages.FunctionRpc/EventStream", _written, StreamingMessage.FromString)
    unsent: Queue[Any] = Queue()
    started = StreamingMessage()
    started.start_stream.worker_id = GIVEN["--functions-worker-id"]
    unsent.put(started)
    try:
        for asked in stream(_all(unsent)):
            for answer in answers(asked):
                unsent.put(answer)
    except grpc.RpcError:
        if HOW == "large":  # as the worker of .NET does, it lives on
            time.sleep(600)
        raise


def _written(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


def _all(unsent: Queue[Any]) -> Iterator[Any]:
    while True:
        yield unsent.get()


def answers(asked: Any) -> Iterator[Any]:
    answer, kind = StreamingMessage(), asked.WhichOneof("content")
    if kind == "worker_init_request":
        answer.worker_init_response.result.status = StatusResult.Success
        if HOW in ("elsewhere", "closed"):
            address = {"elsewhere": "http://example.org:80/", "closed": "http://127.0.0.1:9/"}[HOW]
            answer.worker_init_response.capabilities["HttpUri"] = address
    elif kind == "functions_metadata_request":
        found = answer.function_metadata_response
        found.result.status = StatusResult.Success
        one = found.function_metadata_results.add(name="a b" if HOW == "misnamed" else "F", function_id="1")
        if HOW in RAW:
            found.function_metadata_results.add(name="Sound", function_id="2").raw_bindings.append(SOUND)
        if HOW == "unindexed":
            one.status.exception.message = "its attribute is wrong"
        one.raw_bindings.append(RAW.get(HOW, SOUND))
    elif kind == "function_load_request" and HOW != "stuck":
        answer.function_load_response.function_id = asked.function_load_request.function_id
        answer.function_load_response.result.status = StatusResult.Success
    elif kind == "invocation_request" and HOW != "closed":
        yield from _invoked(asked.invocation_request.invocation_id)
        return
    else:
        return
    yield answer


def _invoked(invocation: str) -> Iterator[Any]:
    if HOW == "noise":
        yield b"\xff\x00" * 50
    unknown = StreamingMessage()
    unknown.invocation_response.invocation_id = "nobody asked"
    yield unknown
    answer = StreamingMessage()
    answer.invocation_response.invocation_id = invocation
    answer.invocation_response.result.status = StatusResult.Success
    if HOW == "large":
        answer.invocation_response.return_value.bytes = bytes(200_000_000)
    elif HOW in ("header", "sound"):
        answer.invocation_response.return_value.http.status_code = {"header": "abc", "sound": "203"}[HOW]
    yield answer
    yield answer  # the second answer is one too many


main()
