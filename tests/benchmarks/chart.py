"""The figures as a picture: one bar a row, with a line from the slowest to the fastest repeat."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.benchmarks.figures import Figures

WIDTH, LABELS, BAR, GAP, TOP = 860, 250, 18, 8, 68  #: pixels
ROOM = 90  #: pixels to the right of the longest bar, for its number
KINDS = {"bridge": "the bridge", "durable": "durable engines", "peer": "task queues on Redis", "raw": "no promise"}

#: The colours of the page the picture stands on: a reader of a dark page gets the second set.
STYLE = """\
<style>
  .page { fill: #ffffff } .text { fill: #0f172a } .spread { stroke: #0f172a }
  .bridge { fill: #2563eb } .durable { fill: #0d9488 } .peer { fill: #d97706 } .raw { fill: #94a3b8 } .http { opacity: 0.55 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .text { fill: #e2e8f0 } .spread { stroke: #e2e8f0 }
    .bridge { fill: #3b82f6 } .durable { fill: #14b8a6 } .raw { fill: #64748b }
  }
</style>"""


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
            STYLE,
            f'<rect class="page" width="{WIDTH}" height="{height}"/>',
            f'<text class="text" x="{GAP}" y="22">{escape(caption)}</text>',
            *_legend({kind(row) for row in measured}),
            *bars,
            "</svg>\n",
        ]
    )


def kind(row: Figures) -> str:
    """Who it is: one of KINDS."""
    if row.is_peer:
        return "durable" if row.is_durable else "peer"
    return "raw" if row.name.startswith(("raw", "dapr-bare")) else "bridge"


def _legend(shown: set[str]) -> list[str]:
    parts, left = [], GAP
    for name, said in KINDS.items():
        if name in shown:
            parts.append(f'<rect class="{name}" x="{left}" y="36" width="12" height="12"/>')
            parts.append(f'<text class="text" x="{left + 18}" y="46">{said}</text>')
            left += 40 + 7 * len(said)
    return parts


def _bar(row: Figures, top: int, scale: float) -> list[str]:
    middle, end = top + BAR / 2, LABELS + row.rate * scale
    low, high = LABELS + min(row.rates) * scale, LABELS + max(row.rates) * scale
    style = f"{kind(row)} http" if row.column_of else kind(row)
    text = f'class="text" dominant-baseline="central" y="{middle:g}"'
    return [
        f'<text {text} x="{LABELS - 8}" text-anchor="end">{escape(row.title)}</text>',
        f'<rect class="{style}" x="{LABELS}" y="{top}" width="{end - LABELS:.1f}" height="{BAR}"/>',
        f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}"/>',
        f'<text {text} x="{max(end, high) + 8:.1f}">{row.rate:,.0f}/s</text>',
    ]
