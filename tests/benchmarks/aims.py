"""What the bridge aims at, as ratios and figures of one run: only those of one run, one after the other on one machine, mean something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.figures import Figures, by_name

BARE, GET = "bridge-bare", "bridge-get"


@dataclass(frozen=True)
class Aim:
    """A figure and the bound it should keep: at least `least`, at most `most`, or neither, where it is only worth knowing."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def bound(self) -> str:
        """The bound in words."""
        if self.least is not None:
            return f"at least {self.least:g}"
        return f"at most {self.most:g}" if self.most is not None else ""

    @property
    def is_reached(self) -> bool:
        """Whether it keeps its bound."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)


#: Ratios of requests a second: whose, to whose, and the least they should be.
RATIOS = (
    (BARE, "saq", 0.7),
    (BARE, "restate", 1.5),
    (GET, "saq", 0.5),
    (BARE, "saq-http", None),
    (BARE, "restate-http", None),
    (BARE, "nats", None),
    (BARE, "nats-http", None),
    (BARE, "raw-bare", None),
)


def aims(rows: Sequence[Figures]) -> list[Aim]:
    """Those that the measured rows allow."""
    ratios = (_ratio(rows, *ratio) for ratio in RATIOS)
    figures = (
        _figure(rows, BARE, "CPU ms a request in the bridge", lambda row: row.cpu.get("bridge"), 0.9),
        _figure(rows, GET, "CPU ms a request in the bridge", lambda row: row.cpu.get("bridge"), None),
        _figure(rows, BARE, "p50 in ms, steady", lambda row: row.steady.p50 if row.steady else None, 5.0),
        _figure(rows, GET, "p50 in ms, steady", lambda row: row.steady.p50 if row.steady else None, 5.0),
    )
    return [aim for aim in (*ratios, *figures) if aim]


def _ratio(rows: Sequence[Figures], ours: str, theirs: str, least: float | None) -> Aim | None:
    of, to = by_name(rows, ours), by_name(rows, theirs)
    return Aim(f"{ours} / {theirs}", of.rate / to.rate, least=least) if of and to else None


def _figure(rows: Sequence[Figures], ours: str, what: str, value: Callable[[Figures], float | None], most: float | None) -> Aim | None:
    row = by_name(rows, ours)
    found = value(row) if row else None
    return Aim(f"{ours}: {what}", found, most=most) if found is not None else None
