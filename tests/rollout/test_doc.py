"""docs/rollout.md lists the kinds of change as they are in the code."""

from __future__ import annotations

from pathlib import Path

from bridge.rollout import KINDS, Weight

DOC = Path(__file__).parents[2] / "docs" / "rollout.md"


def test_the_table_is_that_of_the_code() -> None:
    written = [line for line in DOC.read_text().splitlines() if line.startswith("| `") and line.count(" | ") == 3]
    assert written == [f"| `{each.name}` | {each.weight} | {each.affects} | {each.mend} |" for each in KINDS.values()]


def test_whatever_breaks_says_whom_it_affects_and_what_to_do() -> None:
    told = {each.name: (each.affects, each.mend) for each in KINDS.values() if each.weight is not Weight.NOTE}
    assert [name for name, (affects, mend) in told.items() if not (affects and mend.endswith("."))] == []
