"""Serves the bridge over HTTP until a signal stops it."""

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

from bridge import api, logs, memory
from bridge.api.connection import LimitedHttpProtocol
from bridge.api.startup import StartupGate
from bridge.app import Bridge, open_bridge
from bridge.errors import ConfigurationError
from bridge.settings import RuntimeName, Settings


class HttpStack:
    """The layers between a client and the bridge. A request passes them from outside inwards:

    1. the listening socket, bound before anything else starts, so that a port that is taken is reported at once
    2. `LimitedHttpProtocol`, uvicorn's HTTP protocol with limits on what a client may cost before its request is complete
    3. `StartupGate`, which answers only health checks until the bridge is open
    4. `Guard`: size and repetition of headers, Host and Origin, the caller's token
    5. `Traced`, the span of the call, where telemetry is configured
    6. `BodiesInHand`, which counts the bytes of all bodies
    7. the routes of `bridge.api`, which turn errors into problem+json
    """

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self.gate = StartupGate("sidecar")
        self._settings, self._listener = settings, listener
        self._server = _Server(
            uvicorn.Config(
                self.gate,
                http=LimitedHttpProtocol,
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
        )

    def open(self, services: api.Services) -> None:
        """Pass requests on to the guard and the routes from now on."""
        self.gate.open(api.create(services, _host_names(self._settings)))

    async def start(self) -> asyncio.Task[None]:
        """Start to serve. Returns a task that ends with the server."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        return serving

    async def stop(self, serving: asyncio.Task[None]) -> None:
        """Accept no more requests, and wait for those in progress."""
        self._server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, because `serve` handles signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield


async def serve(settings: Settings, on_ready: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> None:
    """Run until SIGTERM or SIGINT, then drain. Calls `on_ready` with the URL once requests are accepted. Raises ConfigurationError.

    The dapr runtime reads the addresses of its sidecar from `environ`. Health checks are answered while it waits for the sidecar.
    """
    memory.give_large_blocks_back()
    asyncio.get_running_loop().set_exception_handler(logs.on_loop_exception)
    with _listening(settings) as listener:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        settings = settings.model_copy(update={"public_url": settings.public_url or url})
        http, stop = HttpStack(settings, listener), _on_signal()
        async with contextlib.AsyncExitStack() as stack:
            if settings.runtime is RuntimeName.DAPR:
                serving = await http.start()
                stack.push_async_callback(http.stop, serving)
            bridge = await _unless(stop, stack.enter_async_context(open_bridge(settings, environ, http.gate.waits_for)))
            if bridge is None:
                return
            http.open(bridge.services)
            if settings.runtime is RuntimeName.EMBEDDED:
                serving = await http.start()
            # Modules stay loaded, so the garbage collector need not visit them again, nor run after every 700 new objects.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 20)
            on_ready(url)
            await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
            # Otherwise waiting callers would be cut off without an answer when the time for open requests is over.
            bridge.services.bridge.stop_waiting()
            await http.stop(serving)


async def _unless(stop: asyncio.Task[bool], opening: Coroutine[None, None, Bridge]) -> Bridge | None:
    """The opened bridge, or None if `stop` ended first."""
    task = asyncio.create_task(opening)
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
        return None
    return task.result()


def _on_signal() -> asyncio.Task[bool]:
    """A task that ends with the first SIGTERM or SIGINT; the second one ends the process."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return asyncio.create_task(stop.wait())


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
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


def _host_names(settings: Settings) -> frozenset[str]:
    """The host names under which the API answers when no tokens are configured."""
    names = {settings.host, "localhost", urlsplit(settings.public_url or "").hostname or "localhost"}
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(settings.host).is_loopback:
            names |= {"127.0.0.1", "::1"}
    return frozenset(names)
