"""The tests that the pages on security name exist, and no row of their tables of doors is without one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT, DAPR = ((ROOT / "docs" / name).read_text() for name in ("security.md", "dapr-security.md"))
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT + DAPR)))
DOORS = TEXT + DAPR.partition("## Certificates")[0]
ROWS = [line for line in DOORS.splitlines() if line.startswith("| ") and line.count("|") > 3 and not line.startswith("| ---")]


def functions_of(path: Path) -> list[str]:
    return [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file: str, name: str) -> None:
    assert [path for path in (ROOT / "tests").rglob(file) if name in functions_of(path)]


@pytest.mark.parametrize("row", [row for row in ROWS if "tried by" not in row], ids=lambda row: row[2:40])
def test_every_door_and_every_bound_names_the_test_that_tries_it(row: str) -> None:
    assert "::test_" in row.rstrip(" |").rpartition("|")[2]


def test_the_tables_are_there() -> None:
    assert len(NAMED) > 30
    assert sum("tried by" in row for row in ROWS) == 3
