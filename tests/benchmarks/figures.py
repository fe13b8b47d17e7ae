"""What was measured of one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Figures:
    """`rates` are requests a second, one a repeat; `cpu` is in ms a request for each role; `load` is the one-minute average before.

    `sidecar` is what one request made a sidecar do: publishes, deliveries, state writes and state reads.
    `others` is how many cores everything else on the machine kept busy during the bursts: a row with much of it was disturbed.
    """

    name: str
    title: str
    load: float
    rates: tuple[float, ...] = ()
    busy: Latency | None = None
    steady: Latency | None = None
    cpu: Mapping[str, float] = field(default_factory=dict)
    skipped: str = ""
    floor: str = ""
    is_peer: bool = False
    others: float = 0.0
    sidecar: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """The median; 0 for a row that was not measured."""
        return median(self.rates) if self.rates else 0.0

    @property
    def server_cpu(self) -> float:
        """CPU ms a request of all that is not the client."""
        return sum(spent for role, spent in self.cpu.items() if role != "client")


def best_peer(rows: list[Figures]) -> Figures | None:
    """The peer with the most requests a second."""
    return max((row for row in rows if row.is_peer and row.rates), key=lambda row: row.rate, default=None)


def floor_of(row: Figures, rows: list[Figures]) -> Figures | None:
    """The measured raw path of the row."""
    return next((other for other in rows if other.name == row.floor and other.rates), None)
