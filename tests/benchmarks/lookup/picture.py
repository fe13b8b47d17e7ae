"""The figures as a picture: a bar for each directory and each thing that was measured, on a logarithmic scale, with its limit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from tests.benchmarks.lookup.measuring import Figures

WIDTH, LABELS, BAR, GAP, TOP = 860, 300, 14, 14, 64  #: pixels
ROOM = 110  #: pixels to the right of the scale, for the number of the longest bar
LEAST, MOST = 0.1, 100_000.0  #: milliseconds, from end to end of the scale
COLOURS = ("#93c5fd", "#2563eb", "#1e3a8a")

Row = tuple[str, float, list[float]]
"""What was measured, its limit, and the figure of each directory; milliseconds."""


def picture(measured: Sequence[Figures], caption: str) -> str:
    """An SVG document that can be read on light and dark pages."""
    rows = _rows(measured)
    height_of = len(measured) * BAR + GAP
    height = TOP + len(rows) * height_of + GAP
    parts = [part for number, row in enumerate(rows) for part in _row(row, TOP + number * height_of)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" role="img">',
            "<title>Looking up in many runs</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="{GAP}" y="24" fill="#334155">{escape(caption)}</text>',
            *_legend(measured),
            *parts,
            "</svg>\n",
        ]
    )


def _rows(measured: Sequence[Figures]) -> list[Row]:
    """The worst of each kind, beside what it may be."""
    return [
        ("start until ready", 5_000, [each.start * 1000 for each in measured]),
        *((f"GET of a run, {name}, p99", 10.0, [each.gets[name].p99 for each in measured]) for name in measured[0].gets),
        ("page of a list, median", 50, [max(of.p50 for of in each.pages.values()) for each in measured]),
        ("page of a list, longest", 50, [max(of.longest for of in each.pages.values()) for each in measured]),
        *((f"longest wait of others: {name}", 50.0, [each.walks[name].longest for each in measured]) for name in measured[0].walks),
    ]


def _legend(measured: Sequence[Figures]) -> Iterator[str]:
    for number, each in enumerate(measured):
        left = LABELS + number * 140
        yield f'<rect x="{left}" y="38" width="12" height="12" fill="{COLOURS[number % len(COLOURS)]}"/>'
        yield f'<text x="{left + 18}" y="49" fill="#334155">{each.runs:,} runs</text>'
    left = LABELS + len(measured) * 140
    yield f'<line x1="{left}" x2="{left}" y1="36" y2="52" stroke="#dc2626" stroke-width="2"/>'
    yield f'<text x="{left + 8}" y="49" fill="#334155">may be</text>'


def _row(row: Row, top: int) -> Iterator[str]:
    title, limit, figures = row
    bottom = top + len(figures) * BAR
    text = 'dominant-baseline="central" fill="#0f172a"'
    yield f'<text {text} x="{LABELS - 8}" y="{(top + bottom) / 2:g}" text-anchor="end">{escape(title)}</text>'
    for number, value in enumerate(figures):
        y, length = top + number * BAR, _place(value)
        yield f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR - 2}" fill="{COLOURS[number % len(COLOURS)]}"/>'
        yield f'<text {text} x="{LABELS + length + 6:.1f}" y="{y + BAR / 2 - 1:g}" font-size="11">{_said(value)}</text>'
    x = LABELS + _place(limit)
    yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 3}" y2="{bottom + 1}" stroke="#dc2626" stroke-width="2"/>'


def _place(value: float) -> float:
    """Pixels from the left end of the scale."""
    share = math.log(min(max(value, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return share * (WIDTH - LABELS - ROOM)


def _said(value: float) -> str:
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
