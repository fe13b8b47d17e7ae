"""The embedded queue as a Service Bus namespace: a port for AMQP clients, and a file with the connection string for them."""

from __future__ import annotations

import hmac
import json
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.adapters.embedded.amqp.ports import Broker
from bridge.adapters.embedded.amqp.server import AmqpServer
from bridge.adapters.embedded.amqp.service import AmqpService, Bounds
from bridge.adapters.embedded.broker import EmbeddedBroker
from bridge.adapters.embedded.bus import SCHEMA, EmbeddedBus
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.keys import key
from bridge.adapters.embedded.selfsigned import server_context
from bridge.entities import Entities
from bridge.errors import ConfigurationError
from bridge.files import privatefile
from bridge.settings import is_loopback

FILE = "servicebus.json"
KEY_NAME = "RootManageSharedAccessKey"  #: the name that Azure gives the key of a new namespace


@dataclass(frozen=True)
class Listener:
    """Where AMQP clients reach the queue. Port 0 takes a free one; `tls` makes a certificate if there is none."""

    port: int
    host: str = "127.0.0.1"
    tls: bool = False


@dataclass(frozen=True)
class Namespace:
    """A namespace that is listening. `certificate` is what a client has to trust where TLS is on."""

    address: str
    connection_string: str
    certificate: Path | None


@asynccontextmanager
async def serving(broker: Broker, data_dir: Path, where: Listener, *, max_message: int) -> AsyncIterator[Namespace]:
    """Listen for AMQP clients; `data_dir`/servicebus.json has the connection string while this lasts.

    The key is made once and kept, so that a connection string survives a restart. `max_message` is in bytes. Raises ConfigurationError if
    the port is taken, or others could reach it without TLS.
    """
    if not where.tls and not is_loopback(where.host):
        raise ConfigurationError([f"the Service Bus port: others can reach {where.host}, so keys and messages need TLS there; add --tls."])
    secret = b64encode(hmac.digest(key(data_dir, "servicebus.key"), b"shared access key", "sha256")).decode()
    context, certificate = server_context(data_dir, where.host) if where.tls else (None, None)
    service = AmqpService(broker, {KEY_NAME: secret}, Bounds(max_message=max_message))
    async with _listening(service, where, context) as port:
        address = f"{_reachable(where.host)}:{port}"
        # Clients speak TLS unless they are told that this is an emulator.
        plain = "" if where.tls else "UseDevelopmentEmulator=true;"
        found = Namespace(address, f"Endpoint=sb://{address};SharedAccessKeyName={KEY_NAME};SharedAccessKey={secret};{plain}", certificate)
        file = data_dir / FILE
        privatefile.write(file, json.dumps({"connectionString": found.connection_string}))
        try:
            yield found
        finally:
            file.unlink(missing_ok=True)


@asynccontextmanager
async def _listening(service: AmqpService, where: Listener, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    opening = AmqpServer.open(service, host=where.host, port=where.port, tls=context)
    try:
        server = await opening.__aenter__()
    except OSError as fault:
        raise ConfigurationError(
            [f"the Service Bus port {where.port} on {where.host}: cannot listen there ({fault.strerror}); choose another port or 0."]
        ) from None
    try:
        yield server.port
    finally:
        await opening.__aexit__(None, None, None)


@asynccontextmanager
async def namespace(data_dir: Path, entities: Entities, where: Listener, *, queue_limit: int, max_message: int) -> AsyncIterator[Namespace]:
    """The queue of a data directory with its port and without a bridge. `queue_limit` is the most messages of one queue.

    Raises ConfigurationError if the directory cannot be used or is in use, or the port is taken.
    """
    async with Database.open(data_dir, SCHEMA) as database:
        bus = EmbeddedBus(database, entities, queue_limit=queue_limit, max_message=max_message)
        broker = EmbeddedBroker(bus, entities, database)
        await bus.start()
        try:
            async with serving(broker, data_dir, where, max_message=max_message) as found:
                yield found
        finally:
            broker.close()
            await bus.close()


def _reachable(host: str) -> str:
    """The host as clients name it: this machine's name where it listens on all addresses."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - told apart, not listened on
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
