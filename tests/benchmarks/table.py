"""The figures as tables in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from tests.benchmarks.aims import Aim
from tests.benchmarks.figures import Figures, Latency, alone, best_peer, floor_of, http_of

#: Columns of the CPU table, and the roles each adds up.
CPU = {
    "bridge/front": ("bridge", "front", "task worker"),
    "functions host": ("functions host",),
    "worker": ("worker",),
    "daprd": ("daprd",),
    "store": ("redis", "restate", "nats"),
}


def speed(rows: Sequence[Figures], at_once: int, rate: int) -> Table:
    """Requests a second, their ratios, and latencies in ms."""
    measured = list(rows)
    best = best_peer(measured)

    def cells(row: Figures) -> list[str]:
        ratios = (_ratio(row, best), _ratio(row, floor_of(row, measured)))
        low, high = min(row.rates), max(row.rates)
        http = http_of(row, measured)
        return [
            f"{low:,.0f}",
            f"{row.rate:,.0f}",
            f"{high:,.0f}",
            f"{http.rate:,.0f}" if http else "",
            *ratios,
            latency(row.busy),
            latency(row.steady),
            f"{row.load:.1f}",
            f"{row.others:.1f}",
        ]

    headings = ("min", "req/s", "max", "HTTP fn", "x queue", "x raw", "p50/p99", f"at {rate}/s", "load", "others")
    return _table(f"Requests a second and latency in ms, {at_once} in flight", headings, alone(measured), cells)


def cpu(rows: Sequence[Figures]) -> Table:
    """CPU ms of each request, by role."""

    def cells(row: Figures) -> list[str]:
        spent = [sum(row.cpu.get(role, 0.0) for role in roles) for roles in CPU.values()]
        return [*(f"{ms:.2f}" if ms else "" for ms in spent), f"{row.server_cpu:.2f}", f"{row.cpu.get('client', 0.0):.2f}"]

    return _table("CPU ms of one request", (*CPU, "servers", "client"), rows, cells)


def sidecar(rows: Sequence[Figures]) -> Table | None:
    """What one request made the sidecar do, for the rows that have one; None if no row has."""
    behind = [row for row in rows if row.sidecar]
    if not behind:
        return None
    kinds = list(behind[0].sidecar)
    return _table("Through the sidecar, for one request", kinds, behind, lambda row: [f"{row.sidecar[kind]:.2f}" for kind in kinds])


def reached(aims: Sequence[Aim]) -> Table:
    """The aims and what this run says of them."""
    shown = Table(title="Aims", title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("", "measured", "aim", ""):
        shown.add_column(heading, justify="right" if heading == "measured" else "left", no_wrap=True)
    for aim in aims:
        shown.add_row(aim.name, f"{aim.value:.2f}", aim.bound, ("reached" if aim.is_reached else "missed") if aim.bound else "")
    return shown


def _table(title: str, headings: Sequence[str], rows: Sequence[Figures], cells: Callable[[Figures], list[str]]) -> Table:
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("", no_wrap=True)
    for heading in headings:
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(row.title, *(["skipped"] if row.skipped else cells(row)))
    return shown


def _ratio(row: Figures, other: Figures | None) -> str:
    return f"{row.rate / other.rate:.2f}" if other else ""


def latency(measured: Latency | None) -> str:
    """p50 and p99 in ms."""
    return f"{_short(measured.p50)}/{_short(measured.p99)}" if measured else ""


def _short(ms: float) -> str:
    return f"{ms:.1f}" if ms < 10 else f"{ms:.0f}"
