"""Serves the bridge over HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import uvicorn

from bridge import api, telemetry
from bridge.app import open_bridge
from bridge.connection import Connection
from bridge.errors import ConfigurationError
from bridge.settings import Settings


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: `serve` has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT, then drain. `on_ready` gets the URL once requests are taken. Raises ConfigurationError."""
    telemetry.setup(level=settings.log_level, form=settings.log_format)
    with _bound(settings) as listener:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        settings = settings.model_copy(update={"public_url": settings.public_url or url})
        async with open_bridge(settings) as bridge:
            application = api.create(bridge.services, _names(settings))
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
            server = _Server(config)
            stop = _on_signal()
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            # What has been loaded stays: the collector need not look at it again, nor run every 700 new objects.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 20)
            on_ready(url)
            await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving


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
