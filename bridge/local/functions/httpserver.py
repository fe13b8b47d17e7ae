"""Serves one `Front` on a loopback port, with aiohttp."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Iterable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from bridge.errors import ConfigurationError
from bridge.local.functions.front import Answer, Front, Request

HOST = "127.0.0.1"
#: A page that has made its own name lead here is not let in, not even to functions that want no key.
_NAMES = frozenset({HOST, "localhost"})
_HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a line tells of a mistake of this program: who may reach the port could fill the log with requests that are no HTTP."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_log = logging.getLogger("bridge.functions.http")
_log.addFilter(_is_ours)


@contextlib.asynccontextmanager
async def serving(front: Front, port: int, largest_body: int) -> AsyncIterator[str]:
    """Serve while the block runs; yields the base URL. Port 0 takes a free one. Raises ConfigurationError if the port is taken."""

    async def handle(received: web.BaseRequest) -> web.StreamResponse:
        if received.host.partition(":")[0].lower() not in _NAMES:
            return web.Response(status=421)
        return _response(await _answered(front, received, largest_body))

    runner = web.ServerRunner(web.Server(handle, access_log=None, logger=_log), shutdown_timeout=0)
    await runner.setup()
    try:
        await _listen(runner, port)
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _listen(runner: web.ServerRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as taken:
        raise ConfigurationError([f"Port {port} cannot be used: {taken}. Choose another with --port, or 0 for a free one."]) from taken


async def _answered(front: Front, received: web.BaseRequest, largest_body: int) -> Answer:
    request = Request(
        method=received.method,
        url=f"http://{received.host}{received.raw_path}",
        path=received.rel_url.raw_path,
        query=_joined(received.query.items()),
        headers=_joined((name.lower(), value) for name, value in received.headers.items()),
    )
    call = front.admit(request)
    if isinstance(call, Answer):
        return call
    body = await _body(received, largest_body)
    return Answer(413) if body is None else await front.answer(call, request, body)


async def _body(received: web.BaseRequest, largest: int) -> bytes | None:
    """The body, or None as soon as it is too large."""
    if (received.content_length or 0) > largest:
        return None
    if not received.body_exists:
        return b""
    parts, size = [], 0
    async for part in received.content.iter_any():
        size += len(part)
        if size > largest:
            return None
        parts.append(part)
    return b"".join(parts)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names with several values get them in one, with commas, as the Functions host passes them on."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _response(answer: Answer) -> web.Response:
    headers = CIMultiDict((name, value) for name, value in answer.headers if name.lower() not in _HOP_BY_HOP)
    return web.Response(status=answer.status, headers=headers, body=answer.body)
