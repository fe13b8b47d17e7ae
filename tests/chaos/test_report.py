"""Figures reach the page, and nothing else of it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.report import write

PAGE = "before\n<!-- chaos: begin -->\nold\n<!-- chaos: end -->\nafter\n"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path / "page.md"


def test_figures_stand_between_the_markers_once_however_often_they_are_written(page: Path) -> None:
    for figure in ("1", "a|b"):
        write("chaos", [("kills", figure)], page=page)
    text = page.read_text()
    assert (text.startswith("before\n<!-- chaos: begin -->\nMeasured on "), text.endswith("<!-- chaos: end -->\nafter\n")) == (True, True)
    assert ("old" in text, text.count("| kills |"), "| kills | a\\|b |" in text) == (False, 1, True)


def test_a_page_without_the_markers_is_told(page: Path) -> None:
    with pytest.raises(ValueError, match="soak: begin"):
        write("soak", [], page=page)
    assert page.read_text() == PAGE
