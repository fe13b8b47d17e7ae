"""Puts figures into docs/reliability.md, between the markers of that name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import machine

PAGE = Path(__file__).parent.parent.parent / "docs" / "reliability.md"


def write(name: str, rows: Sequence[tuple[str, str]], after: str = "", page: Path = PAGE) -> None:
    """Replace what stands between the markers. Raises ValueError if the page has none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = page.read_text("utf-8")
    if begin not in text or end not in text:
        raise ValueError(f"{page} has no markers {begin} and {end}")
    table = "\n".join(f"| {_cell(what)} | {_cell(value)} |" for what, value in rows)
    facts = machine.facts()
    said = f"Measured on {datetime.now(UTC):%Y-%m-%d}: {facts['machine']}, Python {facts['python']}."
    block = f"{begin}\n{said}\n\n| what | figure |\n| --- | --- |\n{table}\n{after}{end}"
    page.write_text(re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: block, text, flags=re.DOTALL), "utf-8")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
