"""Our gRPC server, as a client of another make speaks to it, and as nobody should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import hpack
import pytest

from bridge.grpcserver import GrpcError, GrpcServer, GrpcStream, Headers, frames
from bridge.grpcserver.frames import PREFACE

LARGEST = 1_000_000
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
GOAWAY = 7


async def echo(message: bytes, _headers: Headers) -> bytes:
    return message


async def refuse(_message: bytes, headers: Headers) -> bytes:
    raise GrpcError(16, dict(headers)["reason"])


async def broken(_message: bytes, _headers: Headers) -> bytes:
    raise RuntimeError("inside")


class Slow:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, message: bytes, _headers: Headers) -> bytes:
        self.begun.set()
        await self.go_on.wait()
        self.ended.set()
        return message


@pytest.fixture
async def slow() -> Slow:
    return Slow()


@pytest.fixture
async def server(slow: Slow) -> AsyncIterator[int]:
    methods = {"/s/echo": echo, "/s/refuse": refuse, "/s/broken": broken, "/s/slow": slow}
    served = GrpcServer(methods, max_message=LARGEST, to_http_1="speak grpc")
    yield await served.start("127.0.0.1", 0)
    await served.stop(grace=0.1)


@pytest.fixture
async def channel(server: int) -> AsyncIterator[grpc.aio.Channel]:
    unlimited = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server}", options=unlimited) as opened:
        yield opened


@pytest.mark.parametrize("size", [0, 1, 16_384, 100_000, LARGEST])
async def test_messages_and_answers_of_all_sizes_arrive_whole(channel, size):
    message = bytes(number % 251 for number in range(size))
    assert await channel.unary_unary("/s/echo")(message) == message


async def test_many_calls_at_a_time_get_their_own_answers(channel):
    call = channel.unary_unary("/s/echo")
    for _ in range(3):
        sent = [b"%d" % number * 50 for number in range(300)]
        assert await asyncio.gather(*(call(each) for each in sent)) == sent


async def test_headers_of_all_kinds_arrive(channel):
    for reason in ("a", "x" * 3000, "~!@#$%^&*()_+{}|:<>?"):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await channel.unary_unary("/s/refuse")(b"", metadata=[("reason", reason[:100]), ("other", reason)])
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert error.value.details() == reason[:100]


@pytest.mark.parametrize(
    ("path", "message", "code"),
    [
        ("/s/nothing", b"", grpc.StatusCode.UNIMPLEMENTED),
        ("/s/broken", b"", grpc.StatusCode.INTERNAL),
        ("/s/echo", b"x" * (LARGEST + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_what_cannot_be_answered_is_told_and_the_connection_goes_on(channel, path, message, code):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await channel.unary_unary(path)(message)
    assert error.value.code() is code
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"


async def test_a_call_that_its_caller_gives_up_goes_on(channel, slow):
    call = channel.unary_unary("/s/slow")(b"")
    waiting = asyncio.create_task(_wait(call))
    await asyncio.wait_for(slow.begun.wait(), 10)
    call.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slow.go_on.set()
    await asyncio.wait_for(slow.ended.wait(), 10)
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"


async def _wait(call: grpc.aio.UnaryUnaryCall[bytes, bytes]) -> None:
    await call


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 a hello of TLS",
        PREFACE + SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        PREFACE + SETTINGS + b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff",
        PREFACE + SETTINGS + b"\x00\x00\x00\x01\x04\x00\x00\x00\x02",
        PREFACE + SETTINGS + b"\x00\x00\x01\x00\x00\x00\x00\x00\x09x",
        PREFACE + SETTINGS + b"\x00\x00\x00\x09\x04\x00\x00\x00\x01",
        PREFACE + SETTINGS + b"\x00\x00\x00\x01\x00\x00\x00\x00\x01" + SETTINGS,
        PREFACE + b"\x00\x00\x05\x04\x00\x00\x00\x00\x00.....",
        PREFACE + SETTINGS + b"\x00\x00\x01\x01\x0c\x00\x00\x00\x01\x09",
    ],
    ids=[
        "tls",
        "frame-too-large",
        "compression",
        "even-stream",
        "data-before-headers",
        "lone-continuation",
        "cut-headers",
        "settings",
        "padding",
    ],
)
async def test_what_is_no_http_2_ends_the_connection_and_nothing_else(server, channel, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", server)
    writer.write(sent)
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    kinds = []
    while said:
        kinds.append(said[3])
        said = said[9 + int.from_bytes(said[:3], "big") :]
    assert kinds[-1] == GOAWAY
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST /deliveries/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000,
        b"P" + b"UT /" + b"x" * 10_000,
    ],
    ids=["short", "with-a-body", "long"],
)
async def test_a_request_of_http_1_is_refused_with_the_reason_and_never_only_cut_off(server, channel, sent):
    reader, writer = await asyncio.open_connection("127.0.0.1", server)
    for place in range(0, len(sent), 65536):
        writer.write(sent[place : place + 65536])
        await writer.drain()
    head, _, text = (await asyncio.wait_for(reader.readuntil(b"grpc"), 10)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert text == b"speak grpc"
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"


async def test_a_connection_that_ends_in_the_middle_is_no_trouble(server, channel):
    _, writer = await asyncio.open_connection("127.0.0.1", server)
    writer.write(PREFACE + SETTINGS + b"\x00\x00\x10\x01\x04\x00\x00")
    await writer.drain()
    writer.close()
    assert await channel.unary_unary("/s/echo")(b"after") == b"after"


class Talk:
    """Gives each message of a stream back until one says what to do instead."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, stream: GrpcStream) -> None:
        while (message := await stream.read()) is not None:
            if message == b"refuse":
                raise GrpcError(7, "nö, 100 %")
            if message == b"break":
                raise RuntimeError("inside")
            if message == b"enough":
                return
            stream.send(message)
        self.ended.set()


@pytest.fixture
async def talk() -> Talk:
    return Talk()


@pytest.fixture
async def talking(talk: Talk) -> AsyncIterator[grpc.aio.Channel]:
    served = GrpcServer({"/s/echo": echo}, {"/s/talk": talk}, max_message=4 * LARGEST)
    port = await served.start("127.0.0.1", 0)
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=unlimited) as opened:
        yield opened
    await served.stop(grace=0)


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 70_000, 4 * LARGEST])
async def test_messages_of_a_stream_come_and_go_whole_and_in_order(talking, size):
    messages = [bytes([number]) * size for number in range(5)]
    stream = talking.stream_stream("/s/talk")()

    async def write() -> None:
        for each in messages:
            await stream.write(each)
        await stream.done_writing()

    writing = asyncio.create_task(write())
    assert [await stream.read() for _ in messages] == messages
    await writing
    assert await stream.code() is grpc.StatusCode.OK


async def test_a_stream_carries_more_than_its_first_window_beside_other_calls(talking):
    stream, echoed = talking.stream_stream("/s/talk")(), talking.unary_unary("/s/echo")
    for number in range(30):
        await stream.write(bytes([number]) * 3 * LARGEST)
        assert await echoed(b"beside") == b"beside"
        assert await stream.read() == bytes([number]) * 3 * LARGEST


@pytest.mark.parametrize(
    ("last", "code", "details"),
    [
        (b"refuse", grpc.StatusCode.PERMISSION_DENIED, "nö, 100 %"),
        (b"break", grpc.StatusCode.INTERNAL, "The call failed."),
        (b"enough", grpc.StatusCode.OK, ""),
        (bytes(4 * LARGEST + 1), grpc.StatusCode.RESOURCE_EXHAUSTED, "The message is too large."),
    ],
    ids=["refused", "broken", "over", "too-large"],
)
@pytest.mark.parametrize("first", [(), (b"hello",)], ids=["at once", "after an answer"])
async def test_a_stream_that_the_server_ends_has_a_status_and_the_connection_goes_on(talking, first, last, code, details):
    stream = talking.stream_stream("/s/talk")()
    for each in first:
        await stream.write(each)
        assert await stream.read() == each
    await stream.write(last)
    assert await stream.code() is code
    assert await stream.details() == details
    assert await talking.unary_unary("/s/echo")(b"after") == b"after"


async def test_a_stream_that_its_caller_gives_up_is_over(talking, talk):
    stream = talking.stream_stream("/s/talk")()
    await stream.write(b"hello")
    await stream.read()
    stream.cancel()
    await asyncio.wait_for(talk.ended.wait(), 10)


async def test_a_stream_is_over_when_its_connection_is_lost_or_its_server_stops(talk):
    for lost in (True, False):
        talk.ended.clear()
        served = GrpcServer({}, {"/s/talk": talk}, max_message=LARGEST)
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{await served.start('127.0.0.1', 0)}")
        stream = channel.stream_stream("/s/talk")()
        await stream.write(b"hello")
        await stream.read()
        await (channel.close() if lost else served.stop(grace=0))
        await asyncio.wait_for(talk.ended.wait(), 10)
        await channel.close()
        await served.stop(grace=0)


async def test_messages_go_to_whoever_takes_them_from_the_first_on_until_the_stream_is_closed():
    taken: list[bytes] = []

    async def take(stream: GrpcStream) -> None:
        first = await stream.read()
        stream.take_with(taken.append)
        while len(taken) < 3:
            await asyncio.sleep(0.01)
        stream.close()
        stream.send(first or b"")

    served = GrpcServer({}, {"/s/take": take}, max_message=LARGEST)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await served.start('127.0.0.1', 0)}") as channel:
        stream = channel.stream_stream("/s/take")()
        for number in range(4):
            await stream.write(b"%d" % number)
        assert await stream.read() == b"0"
        assert await stream.code() is grpc.StatusCode.OK
    await served.stop(grace=0)
    assert taken == [b"1", b"2", b"3"]


async def test_what_a_slow_reader_has_no_window_for_waits_and_comes(talk):
    served = GrpcServer({}, {"/s/talk": talk}, max_message=4 * LARGEST)
    reader, writer = await asyncio.open_connection("127.0.0.1", await served.start("127.0.0.1", 0))
    headers = hpack.Encoder().encode([(":method", "POST"), (":scheme", "http"), (":path", "/s/talk"), (":authority", "x")])
    message = bytes(range(250)) * 400
    writer.write(PREFACE + SETTINGS + frames.frame(frames.HEADERS, frames.END_HEADERS, 1, headers))
    sent = b"\x00" + len(message).to_bytes(4, "big") + message
    for place in range(0, len(sent), 10_000):
        writer.write(frames.frame(frames.DATA, 0, 1, sent[place : place + 10_000]))
    got = await _data(reader, frames.WINDOW)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_data(reader, 1), 0.2)
    for stream in (0, 1):
        writer.write(frames.window_update(stream, len(sent)))
    assert got + await _data(reader, len(sent) - frames.WINDOW) == sent
    writer.close()
    await served.stop(grace=0)


async def _data(reader: asyncio.StreamReader, size: int) -> bytes:
    """So many bytes of the frames DATA that come."""
    found = b""
    while len(found) < size:
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        found += payload if head[3] == frames.DATA else b""
    assert len(found) == size
    return found


async def test_a_peer_that_is_not_admitted_is_refused_whatever_it_calls():
    asked: list[tuple[str, int]] = []

    def admits(host: str, port: int) -> bool:
        asked.append((host, port))
        return False

    served = GrpcServer({"/s/echo": echo}, {"/s/talk": Talk()}, max_message=LARGEST, admits=admits)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{await served.start('127.0.0.1', 0)}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary("/s/echo")(b"x" * LARGEST)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert await channel.stream_stream("/s/talk")().code() is grpc.StatusCode.PERMISSION_DENIED
    await served.stop(grace=0)
    ((host, port),) = asked
    assert host == "127.0.0.1"
    assert port > 0
