"""Serves the bridge over HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from urllib.parse import urlsplit

import uvicorn

from bridge import api, telemetry
from bridge.app import Bridge, open_bridge
from bridge.connection import Connection
from bridge.errors import ConfigurationError
from bridge.front import Front
from bridge.settings import Runtime, Settings


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: `serve` has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(settings: Settings, on_ready: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> None:
    """Run until SIGTERM or SIGINT, then drain. `on_ready` gets the URL once requests are taken. Raises ConfigurationError.

    `environ` is where the dapr runtime learns of its sidecar. While it waits for that, health checks are answered.
    """
    telemetry.setup(level=settings.log_level, form=settings.log_format)
    with _bound(settings) as listener:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        settings = settings.model_copy(update={"public_url": settings.public_url or url})
        front, stop = Front("sidecar"), _on_signal()
        server = _server(front, settings)
        async with contextlib.AsyncExitStack() as stack:
            if settings.runtime is Runtime.DAPR:
                serving = await _started(server, listener)
                stack.push_async_callback(_stopped, server, serving)
            bridge = await _unless(stop, stack.enter_async_context(open_bridge(settings, environ, front.waits_for)))
            if bridge is None:
                return
            front.opened(api.create(bridge.services, _names(settings)))
            if settings.runtime is Runtime.EMBEDDED:
                serving = await _started(server, listener)
            # What has been loaded stays: the collector need not look at it again, nor run every 700 new objects.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 20)
            on_ready(url)
            await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
            # They would be cut off without an answer when the patience for open requests is over.
            bridge.services.doors.let_go()
            await _stopped(server, serving)


def _server(application: Front, settings: Settings) -> _Server:
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, int(settings.drain.total_seconds())),
    )
    return _Server(config)


async def _started(server: _Server, listener: socket.socket) -> asyncio.Task[None]:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    return serving


async def _stopped(server: _Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await serving


async def _unless(stop: asyncio.Task[bool], opening: Coroutine[None, None, Bridge]) -> Bridge | None:
    """What is opened, or None if it was told to stop before."""
    task = asyncio.create_task(opening)
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
        return None
    return task.result()


def _on_signal() -> asyncio.Task[bool]:
    """A task that ends with the first SIGTERM or SIGINT; the second one ends the process."""
    loop, wanted = asyncio.get_running_loop(), asyncio.Event()

    def asked(number: signal.Signals) -> None:
        if wanted.is_set():
            os._exit(128 + number)
        wanted.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number)
    return asyncio.create_task(wanted.wait())


@contextlib.contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as fault:
            raise ConfigurationError(
                [f"cannot listen on {settings.host}:{settings.port}: {fault.strerror}. Choose another --port."]
            ) from None
        listener.listen(1024)
        listener.setblocking(False)
        yield listener


def _names(settings: Settings) -> frozenset[str]:
    """The names under which the API answers without tokens."""
    names = {settings.host, "localhost", urlsplit(settings.public_url or "").hostname or "localhost"}
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(settings.host).is_loopback:
            names |= {"127.0.0.1", "::1"}
    return frozenset(names)
