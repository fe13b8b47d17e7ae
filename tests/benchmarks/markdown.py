"""The figures as the tables of docs/speed.md, where they stand between two comments and are replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.aims import aims
from tests.benchmarks.figures import Figures, alone, http_of
from tests.benchmarks.notes import promises
from tests.benchmarks.table import latency

HEADINGS = ("", "requests/s, median (min to max)", "with the HTTP function", "p50/p99 ms at {rate}/s", "CPU ms a request, all servers")


#: What stands around the figures in a page.
START, END = "<!-- figures: written by `python -m tests.benchmarks --markdown` -->", "<!-- end of figures -->"


def page(before: str, figures: str) -> str:
    """The page with these figures instead of those it has; the figures alone where it has no place for them."""
    top, start, rest = before.partition(START)
    _, end, bottom = rest.partition(END)
    return f"{top}{START}\n{figures}\n{END}{bottom}" if start and end else f"{figures}\n"


def markdown(rows: Sequence[Figures], rate: int) -> str:
    """Speed, aims and promises of everything measured but the rows on Dapr, which have tables of their own."""
    measured = [row for row in rows if row.rates and not row.name.startswith("dapr")]
    speed = _table([heading.format(rate=rate) for heading in HEADINGS], [_cells(row, measured) for row in alone(measured)])
    reached = [[aim.name, f"{aim.value:.2f}", aim.bound, _yes(aim.bound, aim.is_reached)] for aim in aims(measured)]
    return "\n\n".join(
        [speed, _table(["aim", "measured", "bound", "reached"], reached), "\n".join(f"- {said}" for said in promises(measured))]
    )


def _cells(row: Figures, rows: Sequence[Figures]) -> list[str]:
    http, own = http_of(row, rows), row.cpu.get("bridge")
    apart = f" (bridge {own:.2f})" if own else ""
    return [row.title, _rates(row), _rates(http) if http else "", latency(row.steady), f"{row.server_cpu:.2f}{apart}"]


def _rates(row: Figures) -> str:
    return f"{row.rate:,.0f} ({min(row.rates):,.0f} to {max(row.rates):,.0f})"


def _yes(bound: str, is_reached: bool) -> str:
    return ("yes" if is_reached else "no") if bound else ""


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
