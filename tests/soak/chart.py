"""The samples as a picture: one small panel for each figure, time to the right."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.soak.samples import MB, Pick, Sample

WIDTH, HEIGHT, MARGIN = 420, 150, 40  #: pixels of one panel
PANELS: tuple[tuple[str, Pick], ...] = (
    ("memory (RSS), MB", lambda each: each.rss / MB),
    ("file handles", lambda each: each.handles),
    ("database without indexes, MB", lambda each: (each.used - each.index) / MB),
    ("p99, ms", lambda each: each.p99),
)


def chart(samples: Sequence[Sample], warm_up: float) -> str:
    """An SVG document that can be read on light and dark pages; what came before the end of the warm-up is grey."""
    width, height = 2 * WIDTH, (len(PANELS) + 1) // 2 * HEIGHT
    panels = [
        part for number, panel in enumerate(PANELS) for part in _panel(panel, samples, warm_up, number % 2 * WIDTH, number // 2 * HEIGHT)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" role="img">',
            "<title>Soak</title>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *panels,
            "</svg>\n",
        ]
    )


def _panel(panel: tuple[str, Pick], samples: Sequence[Sample], warm_up: float, left: int, top: int) -> list[str]:
    name, of = panel
    highest, longest = max(map(of, samples)) * 1.1 or 1.0, samples[-1].at or 1.0

    def place(sample: Sample) -> str:
        across = left + MARGIN + sample.at / longest * (WIDTH - 1.5 * MARGIN)
        return f"{across:.1f},{top + HEIGHT - MARGIN / 2 - of(sample) / highest * (HEIGHT - 1.5 * MARGIN):.1f}"

    def line(part: Sequence[Sample], colour: str) -> str:
        return f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{" ".join(map(place, part))}"/>'

    floor = top + HEIGHT - MARGIN / 2
    return [
        f'<text x="{left + MARGIN}" y="{top + 16}" fill="#334155">{escape(name)}: {of(samples[-1]):,.0f} at the end</text>',
        f'<line x1="{left + MARGIN}" x2="{left + WIDTH - MARGIN / 2:g}" y1="{floor:g}" y2="{floor:g}" stroke="#94a3b8"/>',
        f'<text x="{left + MARGIN - 4}" y="{floor:g}" text-anchor="end" fill="#334155">0</text>',
        f'<text x="{left + WIDTH - MARGIN / 2:g}" y="{floor + 14:g}" text-anchor="end" fill="#334155">{longest / 60:.0f} min</text>',
        line([each for each in samples if each.at <= warm_up] or samples[:1], "#94a3b8"),
        line([each for each in samples if each.at >= warm_up] or samples[-1:], "#2563eb"),
    ]
