"""The figures as a picture: one bar a row, with a line from the slowest to the fastest repeat."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.benchmarks.figures import Figures

WIDTH, LABELS, BAR, GAP, TOP = 860, 300, 20, 10, 44  #: pixels
ROOM = 130  #: pixels to the right of the longest bar, for its number
COLOURS = {"bridge": "#2563eb", "raw": "#94a3b8", "peer": "#d97706"}


def chart(rows: Sequence[Figures], caption: str) -> str:
    """An SVG document that can be read on light and dark pages."""
    measured = [row for row in rows if row.rates]
    scale = (WIDTH - LABELS - ROOM) / max((max(row.rates) for row in measured), default=1.0)
    height = TOP + len(measured) * (BAR + GAP) + GAP
    bars = [part for number, row in enumerate(measured) for part in _bar(row, TOP + number * (BAR + GAP), scale)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" role="img">',
            "<title>Requests a second</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="{GAP}" y="26" fill="#334155">{escape(caption)}</text>',
            *bars,
            "</svg>\n",
        ]
    )


def _bar(row: Figures, top: int, scale: float) -> list[str]:
    middle, end = top + BAR / 2, LABELS + row.rate * scale
    low, high = LABELS + min(row.rates) * scale, LABELS + max(row.rates) * scale
    colour = COLOURS["peer" if row.is_peer else row.name.partition("-")[0]]
    text = f'dominant-baseline="central" fill="#0f172a" y="{middle:g}"'
    return [
        f'<text {text} x="{LABELS - 8}" text-anchor="end">{escape(row.title)}</text>',
        f'<rect x="{LABELS}" y="{top}" width="{end - LABELS:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}" stroke="#0f172a"/>',
        f'<text {text} x="{max(end, high) + 8:.1f}">{row.rate:,.0f}/s</text>',
    ]
