"""No row of the tables of doors in the pages on security is without a test that tries it; `test_docs.py` holds that the tests exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT, DAPR = ((ROOT / "docs" / name).read_text() for name in ("security.md", "dapr-security.md"))
NAMED = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT + DAPR))
DOORS = TEXT + DAPR.partition("## Certificates")[0]
ROWS = [line for line in DOORS.splitlines() if line.startswith("| ") and line.count("|") > 3 and not line.startswith("| ---")]


@pytest.mark.parametrize("row", [row for row in ROWS if "tried by" not in row], ids=lambda row: row[2:40])
def test_every_door_and_every_bound_names_the_test_that_tries_it(row: str) -> None:
    assert "::test_" in row.rstrip(" |").rpartition("|")[2]


def test_the_tables_are_there() -> None:
    assert len(NAMED) > 30
    assert sum("tried by" in row for row in ROWS) == 4
