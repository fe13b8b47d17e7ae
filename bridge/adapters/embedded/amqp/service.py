"""What all connections share: the broker, the keys of clients, and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.adapters.embedded.amqp.ports import Broker


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one client may ask for. Sizes are in bytes, times in seconds."""

    max_message: int = 2**20
    sessions: int = 1024
    links: int = 256  #: of one session
    links_in_all: int = 4000  #: of one connection
    links_of_all: int = 20_000  #: of all connections together
    connections: int = 1000
    open_within: float = 20.0
    idle: float = 120.0
    unstored: int = 8 * 2**20  #: of messages that were read and not stored yet, before reading stops
    unread: int = 2**20  #: of what was written and not read yet, before delivering stops
    partial: int = 16 * 2**20  #: of messages of which a part has come
    unsettled: int = 10_000  #: deliveries of one link


@dataclass(slots=True)
class Load:
    """What all connections together have open; the server counts it twice a second."""

    links: int = 0


@dataclass(frozen=True, slots=True)
class AmqpService:
    """`keys` are shared access keys by their names; `container` is the name that the broker gives itself."""

    broker: Broker
    keys: Mapping[str, str] = field(repr=False)
    bounds: Bounds = Bounds()
    container: str = "automation-bridge"
    load: Load = field(default_factory=Load, repr=False, compare=False)
