"""What was measured and found, as a picture: each load on the left, success by attempts on the right."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from bridge.hammer.measurement import LoadStep
from bridge.hammer.policyfile import percent
from bridge.hammer.report import HammerReport

WIDTH, HEIGHT, TOP, FLOOR = 860, 320, 76, 262  #: pixels
LEFT, MIDDLE = 48, 470  #: where the panels begin
PANEL = 360  #: width of a panel

#: The colours of the page the picture stands on: a reader of a dark page gets the second set.
STYLE = """\
<style>
  .page { fill: #ffffff } .text { fill: #0f172a } .faint { fill: #475569 } .line { stroke: #94a3b8 }
  .aim { stroke: #0f172a; stroke-dasharray: 4 3 }
  .inside { fill: #ffffff; font-size: 10px }
  .answered { fill: #2563eb } .failed { fill: #d97706 } .hung { fill: #7f1d1d } .broken { fill: #fecaca } .tried { fill: #0f172a }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .text { fill: #e2e8f0 } .faint { fill: #94a3b8 }
    .aim { stroke: #e2e8f0 } .broken { fill: #450a0a } .tried { fill: #e2e8f0 }
  }
</style>"""


def svg(report: HammerReport) -> str:
    """An SVG document that can be read on light and dark pages."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" role="img">',
            f"<title>{escape(report.app)}: load and policy</title>",
            STYLE,
            f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
            *_loads(report),
            *(_attempts(report) if report.found is not None else []),
            "</svg>\n",
        ]
    )


def _text(x: float, y: float, said: str, *, kind: str = "text", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:g}" text-anchor="{anchor}">{escape(said)}</text>'


def _rect(kind: str, left: float, top: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _axis(left: int) -> Iterator[str]:
    for share in (0, 0.5, 1):
        y = _height(share)
        yield f'<line class="line" x1="{left}" x2="{left + PANEL}" y1="{y:g}" y2="{y:g}"/>'
        yield _text(left - 6, y + 4, f"{share * 100:.0f}", kind="faint", anchor="end")


def _height(share: float) -> float:
    return FLOOR - share * (FLOOR - TOP)


def _loads(report: HammerReport) -> Iterator[str]:
    steps = sorted(report.measured.steps, key=lambda each: each.rate)
    yield _text(LEFT, 22, f"{report.app} under rising load: calls in percent")
    for number, (kind, said) in enumerate({"answered": "answered", "failed": "failed", "hung": "hung", "broken": "broke"}.items()):
        yield _rect(kind, LEFT + 90 * number, 36, 11, 11)
        yield _text(LEFT + 90 * number + 16, 46, said)
    width = PANEL / max(len(steps), 1)
    yield from _axis(LEFT)
    for number, step in enumerate(steps):
        yield from _load(step, LEFT + number * width, width)
    yield _text(LEFT + PANEL / 2, HEIGHT - 14, "calls a second", kind="faint", anchor="middle")


def _load(step: LoadStep, left: float, width: float) -> Iterator[str]:
    if step.broken:
        yield _rect("broken", left, TOP - 12, width, FLOOR - TOP + 12)
    number = max(len(step.calls), 1)
    hung = sum(each.hung for each in step.calls)
    base = 0.0
    for kind, share in (("answered", len(step.answered) / number), ("failed", (step.failed - hung) / number), ("hung", hung / number)):
        top = _height(base + share)
        yield _rect(kind, left + width * 0.15, top, width * 0.7, _height(base) - top)
        base += share
    yield _text(left + width / 2, FLOOR + 16, f"{step.rate:.0f}", anchor="middle")


def _attempts(report: HammerReport) -> Iterator[str]:
    found, tried = report.found, report.tried
    assert found is not None  # noqa: S101 - the caller has asked
    worked_out, seen = found.usual.cumulated(), tried.cumulated() if tried is not None else []
    yield _text(MIDDLE, 22, f"Requests that succeeded within {report.goal.deadline.total_seconds():g} s, in percent, by attempts")
    yield _rect("answered", MIDDLE, 36, 11, 11)
    yield _text(MIDDLE + 16, 46, f"worked out: {percent(found.usual.share, 2)}")
    if tried is not None:
        yield f'<circle class="tried" cx="{MIDDLE + 185}" cy="42" r="4"/>'
        yield _text(MIDDLE + 195, 46, f"tried: {tried.succeeded:,} of {tried.asked:,}")
    width = PANEL / max(len(worked_out), len(seen), 1)
    yield from _axis(MIDDLE)
    for number, share in enumerate(worked_out):
        left, top = MIDDLE + number * width, _height(share)
        yield _rect("answered", left + width * 0.2, top, width * 0.6, FLOOR - top)
        yield _text(left + width / 2, FLOOR - 8, f"{share * 100:.{2 if width > 70 else 1}f}", kind="inside", anchor="middle")
    for number, share in enumerate(seen):
        yield f'<circle class="tried" cx="{MIDDLE + (number + 0.5) * width:.1f}" cy="{_height(share):.1f}" r="4"/>'
    for number in range(max(len(worked_out), len(seen))):
        yield _text(MIDDLE + (number + 0.5) * width, FLOOR + 16, str(number + 1), anchor="middle")
    aim = _height(report.goal.share)
    yield f'<line class="aim" x1="{MIDDLE}" x2="{MIDDLE + PANEL}" y1="{aim:.1f}" y2="{aim:.1f}"/>'
    yield _text(MIDDLE + PANEL / 2, HEIGHT - 14, "attempts", kind="faint", anchor="middle")
