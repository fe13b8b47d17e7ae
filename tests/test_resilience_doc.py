"""A reader follows docs/resilience.md: the files and commands of its examples, and what the page says comes of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge import resilience
from bridge.cli import hammerview
from bridge.resilience import worst_case
from tests.docexamples import DOCS, Reader, files_of

PAGE = DOCS / "resilience.md"
_SESSION = re.compile(r"^```console\n\$ bridge ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """A reader who has made the files of the page."""
    for name, contents in files_of(PAGE).items():
        assert len(contents) == 1, name
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(contents[0])
    return Reader.at(tmp_path)


def sessions() -> dict[str, str]:
    """What the page shows of each command."""
    return dict(_SESSION.findall(PAGE.read_text()))


def test_explain_says_what_the_page_shows(reader: Reader) -> None:
    command = "resilience explain shop"
    assert reader.run(*command.split()) == sessions()[command]


def test_the_policy_on_the_page_is_what_the_shown_hammer_says_of_it(reader: Reader) -> None:
    found = resilience.load(reader.folder / "hammer-shop.yaml").for_app("shop")
    worst = worst_case(found)
    assert worst.duration is not None
    shown = sessions()["hammer shop"]
    assert f"at most {worst.attempts} attempts, in {worst.duration.total_seconds():.1f} s at worst" in shown
    assert "\n".join(hammerview.policy_words(found)) in shown


def test_the_hammer_of_the_page_runs_as_it_is_written(reader: Reader) -> None:
    """For seconds instead of a minute; what it finds then is tried in tests/hammer."""
    command = [sys.executable, "-m", "bridge", "hammer", "shop", "--seconds", "5", "--most", "120"]
    (reader.folder / "hammer-shop.yaml").unlink()
    result = subprocess.run(command, cwd=reader.folder, env=reader.environment, capture_output=True, text=True, check=False)
    assert "hammer shop" in sessions()
    assert "requests that succeed, by attempts; worked out and tried" in result.stdout, result.stderr
    assert list(resilience.load(reader.folder / "hammer-shop.yaml").by_app) == ["shop"]
    assert (reader.folder / "hammer-shop.svg").exists()
