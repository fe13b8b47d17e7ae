"""docs/doctor.md lists the rules as they are in the code."""

from __future__ import annotations

from pathlib import Path

from bridge.doctor.findings import RULES
from bridge.doctor.rules import load_all

DOC = Path(__file__).parents[2] / "docs" / "doctor.md"


def rows() -> list[str]:
    load_all()
    return [f"| `{each.name}` | {each.level} | {(each.check.__doc__ or '').strip()} | {each.why} |" for _, each in sorted(RULES.items())]


def test_the_table_is_that_of_the_code() -> None:
    written = [line for line in DOC.read_text().splitlines() if line.startswith("| `") and line.count(" | ") >= 3]

    assert written == rows()


def test_every_rule_says_what_it_finds_and_why_it_matters() -> None:
    load_all()
    sentences = {each.name: ((each.check.__doc__ or "").strip(), each.why) for each in RULES.values()}
    assert [name for name, told in sentences.items() if not all(each.endswith(".") for each in told)] == []
