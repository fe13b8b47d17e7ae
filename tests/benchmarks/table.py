"""The figures as tables in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from tests.benchmarks.figures import Figures, Latency, best_peer, floor_of

#: Columns of the CPU table, and the roles each adds up.
CPU = {
    "bridge/front": ("bridge", "front"),
    "functions host": ("functions host",),
    "worker": ("worker",),
    "daprd": ("daprd",),
    "Redis": ("redis",),
}


def speed(rows: Sequence[Figures], at_once: int, rate: int) -> Table:
    """Requests a second, their ratios, and latencies in ms."""
    measured = list(rows)
    best = best_peer(measured)

    def cells(row: Figures) -> list[str]:
        ratios = (_ratio(row, best), _ratio(row, floor_of(row, measured)))
        low, high = min(row.rates), max(row.rates)
        return [
            f"{low:,.0f}",
            f"{row.rate:,.0f}",
            f"{high:,.0f}",
            *ratios,
            _latency(row.busy),
            _latency(row.steady),
            f"{row.load:.1f}",
            f"{row.others:.1f}",
        ]

    headings = ("min", "req/s", "max", "x peer", "x raw", "p50/p99", f"at {rate}/s", "load", "others")
    return _table(f"Requests a second and latency in ms, {at_once} in flight", headings, rows, cells)


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


def _latency(latency: Latency | None) -> str:
    return f"{_short(latency.p50)}/{_short(latency.p99)}" if latency else ""


def _short(ms: float) -> str:
    return f"{ms:.1f}" if ms < 10 else f"{ms:.0f}"
