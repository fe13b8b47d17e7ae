"""Workers that speak Azure's protocol, and who is let in: bad workers, strangers, and locks that nobody holds."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from bridge.local.functions import retries
from bridge.local.functions.httpmessage import HttpRequest
from bridge.local.functions.httpstream import BodyPieces
from bridge.local.functions.rpc import appserver, indexing, peers, workerconfig
from bridge.local.functions.rpc.httpvalues import HttpCall
from bridge.local.functions.rpc.protocol import Empty, StreamingMessage, settlement
from bridge.local.functions.rpc.workerconfig import RpcStart
from bridge.local.functions.worker import AppLoadFailed, InvocationResponse, OnLog, WorkerHello, WorkerLost

from .conftest import CHECKOUT

SCRIPT = Path(__file__).parent / "fake_worker.py"


@asynccontextmanager
async def _loaded(how: str, app: Path, *, seconds: float = 20, on_log: OnLog = lambda *_: None) -> AsyncIterator[tuple[Any, WorkerHello]]:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "FAKE_WORKER": how}
    program = workerconfig.program([sys.executable, str(SCRIPT)], app, environment, RpcStart(seconds=seconds))
    worker, hello = await program.start(program, on_log)
    try:
        yield worker, hello
    finally:
        worker.kill()
        await worker.released.wait()


@asynccontextmanager
async def _fake(how: str, app: Path, *, seconds: float = 20) -> AsyncIterator[Any]:
    async with _loaded(how, app, seconds=seconds) as (worker, _):
        yield worker


async def _call(worker: Any, call: HttpCall | None = None) -> InvocationResponse:
    trigger = {"name": "request", "value": {"call": call} if call is not None else {"string": "x"}, "metadata": {}}
    order = {"id": "i-1", "function": "F", "trigger": trigger, "trace": {"parent": "", "state": ""}, "deadline": None}
    response: InvocationResponse = await asyncio.wait_for(worker.invoke(order), 60)
    return response


def _given(worker: Any) -> dict[str, str]:
    """What a worker was started with, which its user can see."""
    words = Path(f"/proc/{worker.pid}/cmdline").read_text().split("\0")
    start = words.index("--host")
    return dict(zip(words[start::2], words[start + 1 :: 2], strict=False))


async def test_a_worker_that_never_connects_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(AppLoadFailed, match="has not connected to this host within 1 s"):
        async with _fake("silent", tmp_path, seconds=1):
            pass


async def test_an_app_that_wants_its_requests_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        AppLoadFailed, match=r"does not fit: it wants its requests at 'http://example\.org:80/', which is not on this machine"
    ):
        async with _fake("elsewhere", tmp_path):
            pass


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("rubbish", "binding 'no JSON', which is no object"),
        ("nameless", "with the texts 'name' and 'type'"),
        ("misnamed", "'a b' is not a valid function name"),
        ("misdirected", "the direction 'sideways' of the binding 'request' does not exist"),
    ],
)
async def test_a_function_whose_description_does_not_fit_is_left_out_with_the_reason(how: str, problem: str, tmp_path: Path) -> None:
    async with _loaded(how, tmp_path) as (worker, hello):
        wrong, sound = hello.functions
        assert problem in wrong["problem"]
        assert (sound["name"], "problem" in sound) == ("Sound", False)
        assert list(worker.loaded.ids) == ["Sound"]


async def test_a_function_that_its_worker_could_not_index_fails_with_the_reason(tmp_path: Path) -> None:
    async with _fake("unindexed", tmp_path) as worker:
        response = await _call(worker)
        assert (response.ok, response.code, response.text) == (False, "FunctionNotLoaded", "its attribute is wrong")


def test_a_worker_is_told_of_a_function_what_azures_host_tells() -> None:
    reported = StreamingMessage().function_load_request.metadata
    reported.name, reported.script_file, reported.entry_point = "F", "App.dll", "App.F.Run"
    reported.language, reported.function_id = "dotnet-isolated", "7"
    reported.raw_bindings.append('{"name": "r", "type": "httpTrigger", "direction": "In", "route": "r"}')
    reported.raw_bindings.append('{"name": "Out", "type": "serviceBus", "direction": "Out", "dataType": "String"}')
    reported.retry_options.max_retry_count = 2
    reported.properties["own"] = "1"
    told = indexing.to_load(reported, "7").metadata
    assert {each.name for each, _ in told.ListFields()} == {"name", "script_file", "entry_point", "bindings", "properties"}
    assert {name: (each.type, each.direction, each.data_type) for name, each in told.bindings.items()} == {
        "r": ("httpTrigger", 0, 0),
        "Out": ("serviceBus", 1, 1),
    }
    assert dict(told.properties) == {"own": "1", "FunctionId": "7"}


@pytest.mark.parametrize(
    "retry",
    [
        {"strategy": "fixedDelay", "maxRetryCount": 2, "delayInterval": "00:00:00.200"},
        {"strategy": "exponentialBackoff", "maxRetryCount": -1, "minimumInterval": "00:00:01", "maximumInterval": "01:00:00"},
        None,
    ],
)
def test_a_policy_of_retries_in_a_file_is_the_one_that_counts(retry: dict[str, Any] | None) -> None:
    binding = {"name": "timer", "type": "timerTrigger", "dataType": "binary"}
    metadata = indexing.from_file({"name": "F", "bindings": [binding], **({"retry": retry} if retry else {})})
    assert indexing.to_load(metadata, "7").metadata.bindings["timer"].data_type == 2
    assert retries.policy(indexing.described(metadata).get("retry")) == retries.policy(retry)


def test_a_policy_of_retries_in_a_file_that_is_none_is_told() -> None:
    metadata = indexing.from_file({"name": "F", "bindings": [], "retry": {"strategy": "often"}})
    assert indexing.problem(metadata) == "F: retry.strategy is 'often'; write fixedDelay or exponentialBackoff"


async def test_answers_that_nobody_waits_for_are_dropped(tmp_path: Path) -> None:
    async with _fake("sound", tmp_path) as worker:
        assert (await _call(worker)).ok
        assert (await _call(worker)).ok


async def test_an_answer_that_is_none_of_http_fails_its_call_only(tmp_path: Path) -> None:
    async with _fake("header", tmp_path) as worker:
        response = await _call(worker)
        assert (response.ok, response.code) == (False, "BadAnswer")
        assert "'abc'" in response.text
        assert not worker.ended.done()


async def test_a_line_on_standard_error_has_the_level_that_its_words_suggest(tmp_path: Path) -> None:
    lines: list[tuple[str, str]] = []
    async with _loaded("talking", tmp_path, on_log=lambda _, level, text: lines.append((level, text))):
        pass
    said = [("error", "Unhandled exception. X: y"), ("info", "   at App.Main()"), ("error", "it failed")]
    assert [each for each in lines if each[1] != "an error on standard output"] == [("info", "leaving"), ("warning", "A WARNING"), *said]
    assert ("info", "an error on standard output") in lines


async def test_a_message_over_the_limit_ends_its_worker_and_not_the_host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with _fake("large", tmp_path) as worker:
        with pytest.raises(WorkerLost):
            await _call(worker)
        await asyncio.wait_for(asyncio.shield(worker.ended), 10)
    assert "a worker, has lost its stream and is ended. A message of more than 134217728 bytes costs it." in caplog.text


async def test_what_is_no_message_ends_its_worker_in_the_words_of_the_host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with _fake("noise", tmp_path) as worker:
        with pytest.raises(WorkerLost):
            await _call(worker)
    assert [each.message for each in caplog.records] == ["A worker has sent what is no message of its protocol, so it is ended."]


async def test_a_worker_that_does_not_load_its_functions_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AppLoadFailed, match="has not loaded its functions within 1 s"):
        async with _fake("stuck", tmp_path, seconds=1):
            pass
    gc.collect()
    assert not caplog.records


async def test_an_app_that_never_listens_fails_its_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appserver, "_LISTEN_SECONDS", 0.3)
    async with _fake("closed", tmp_path) as worker:
        pieces = BodyPieces(lambda: None, lambda: None)
        pieces.end()
        request = HttpRequest("GET", "http://host/api/F", "/api/F", {}, {"host": "host"}, pieces=pieces)
        response = await _call(worker, HttpCall(request, {}, b"", None))
        assert not response.ok
        assert "does not listen" in response.text


async def _stream(port: str, *first: Any) -> grpc.StatusCode:
    """What becomes of a stream that sends these messages."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream(
            "/AzureFunctionsRpcMessages.FunctionRpc/EventStream",
            lambda each: each if isinstance(each, bytes) else each.SerializeToString(),
            StreamingMessage.FromString,
        )()
        for message in first:
            await call.write(message)
        if not first:
            await call.done_writing()
        code: grpc.StatusCode = await call.code()
        return code


async def test_a_stream_is_taken_from_the_worker_alone_and_once(tmp_path: Path) -> None:
    async with _fake("sound", tmp_path) as worker:
        given, stranger, itself, rubbish = _given(worker), StreamingMessage(), StreamingMessage(), StreamingMessage()
        stranger.start_stream.worker_id = "00000000-0000-0000-0000-000000000000"
        itself.start_stream.worker_id = given["--workerId"]
        rubbish.invocation_cancel.invocation_id = "i-1"
        assert await _stream(given["--port"], stranger) is grpc.StatusCode.PERMISSION_DENIED
        assert await _stream(given["--port"], itself) is grpc.StatusCode.ALREADY_EXISTS
        assert await _stream(given["--port"], rubbish) is grpc.StatusCode.INVALID_ARGUMENT
        assert await _stream(given["--port"]) is grpc.StatusCode.INVALID_ARGUMENT
        assert await _stream(given["--port"], b"\xff\x00") is grpc.StatusCode.INVALID_ARGUMENT
        assert (await _call(worker)).ok


async def test_a_process_of_another_user_gets_neither_the_stream_nor_a_settlement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _fake("sound", tmp_path) as worker:
        monkeypatch.setattr(peers, "is_own", lambda *_: False)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{_given(worker)['--port']}") as channel:
            stream = channel.stream_stream("/AzureFunctionsRpcMessages.FunctionRpc/EventStream")()
            assert await stream.code() is grpc.StatusCode.PERMISSION_DENIED
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary("/Settlement/Complete")(b"")
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert (await _call(worker)).ok


async def test_a_lock_that_no_call_holds_cannot_be_settled(tmp_path: Path) -> None:
    async with _fake("sound", tmp_path) as worker, grpc.aio.insecure_channel(f"127.0.0.1:{_given(worker)['--port']}") as channel:
        complete = channel.unary_unary("/Settlement/Complete", settlement("CompleteRequest").SerializeToString, Empty.FromString)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await complete(settlement("CompleteRequest")(locktoken="0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_each_worker_gets_an_id_and_a_port_of_its_own(tmp_path: Path) -> None:
    async with _fake("sound", tmp_path) as one, _fake("sound", tmp_path) as other:
        for name in ("--workerId", "--port"):
            assert _given(one)[name] != _given(other)[name]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
def test_a_peer_of_another_user_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        port, (host, number) = server.getsockname()[1], client.getsockname()
        assert peers.is_own(host, number, port)
        assert not peers.is_own(host, 1, port)
        monkeypatch.setattr(os, "getuid", lambda: 65_534)
        assert not peers.is_own(host, number, port)
