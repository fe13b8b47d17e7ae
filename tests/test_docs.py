"""Whatever the documentation names is there: the pages and headings it links to, the files, the tests, and the targets of make."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "components" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "bridge|components|deploy|docs|functions|tests|tools"
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_FILE = re.compile(rf"(?<![\w./:~-])(?:{FOLDERS})/[\w./-]*\w")
_TEST = re.compile(r"`(?:(test_\w+\.py)::)?(test_\w+)`")
_TARGET = re.compile(r"`make ([a-z-]+)")
#: What only looks like a file: the version of the catalogue's documents.
NO_FILES = {"bridge/v1"}
#: Whose code blocks are files of a reader, each named before its block.
EXAMPLES = {ROOT / "docs" / "existing-functions.md", ROOT / "docs" / "powershell.md", ROOT / "docs" / "telemetry.md"}


def named(pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    return ((page, found) for page in PAGES for found in pattern.finditer(page.read_text()))


def anchors(page: Path) -> set[str]:
    """Of its headings, as the hosts of repositories make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


LINKS = sorted({(page.relative_to(ROOT), found[1], found[2] or "") for page, found in named(_LINK)})
FILES = sorted({found[0] for page, found in named(_FILE) if page not in EXAMPLES or found[0].startswith("tests/")} - NO_FILES)
TESTS = sorted({(found[1] or "test_*.py", found[2]) for _, found in named(_TEST)})
TARGETS = sorted({found[1] for _, found in named(_TARGET)})


@pytest.mark.parametrize(("page", "path", "anchor"), LINKS, ids=str)
def test_a_link_leads_to_a_page_and_a_heading(page: Path, path: str, anchor: str) -> None:
    target = (ROOT / page.parent / path).resolve() if path else ROOT / page
    assert target.exists()
    assert not anchor or anchor in anchors(target)


@pytest.mark.parametrize("path", FILES)
def test_a_named_file_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_named_test_exists(file: str, name: str) -> None:
    assert [path for path in (ROOT / "tests").rglob(file) if name in functions_of(path)]


@cache
def functions_of(path: Path) -> list[str]:
    return [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("target", TARGETS)
def test_a_named_target_of_make_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_something_is_named() -> None:
    assert len(LINKS) > 15
    assert len(FILES) > 10
    assert len(TESTS) > 30
    assert len(TARGETS) > 5
