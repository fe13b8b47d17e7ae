"""What was measured of one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    `column_of` names the peer's row of which this one is the second column: its worker calls the function over HTTP.
    `is_durable`: a peer that has each request on disk before it answers.
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
    is_durable: bool = False
    column_of: str = ""

    @property
    def rate(self) -> float:
        """The median; 0 for a row that was not measured."""
        return median(self.rates) if self.rates else 0.0

    @property
    def server_cpu(self) -> float:
        """CPU ms a request of all that is not the client."""
        return sum(spent for role, spent in self.cpu.items() if role != "client")


def by_name(rows: Sequence[Figures], name: str) -> Figures | None:
    """The row of this name if it was measured."""
    return next((row for row in rows if row.name == name and row.rates), None)


def http_of(row: Figures, rows: Sequence[Figures]) -> Figures | None:
    """The measured second column of a peer's row: the same with the HTTP function."""
    return next((other for other in rows if other.column_of == row.name and other.rates), None)


def alone(rows: Sequence[Figures]) -> list[Figures]:
    """The rows that have a line of their own: all but second columns whose first one is there."""
    names = {row.name for row in rows}
    return [row for row in rows if row.column_of not in names]


def best_peer(rows: Sequence[Figures]) -> Figures | None:
    """The task queue with the most requests a second at its plain task."""
    return max(
        (row for row in rows if row.is_peer and not row.is_durable and not row.column_of and row.rates),
        key=lambda row: row.rate,
        default=None,
    )


def floor_of(row: Figures, rows: Sequence[Figures]) -> Figures | None:
    """The measured raw path of the row."""
    return by_name(rows, row.floor)
