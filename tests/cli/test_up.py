from __future__ import annotations

from pathlib import Path

import pytest

from bridge import settings
from bridge.cli import up
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from tests.cli.commands import bridge


def test_settings_that_cannot_be_used_are_named_one_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = bridge("up", "--port", "eighty", env={"BRIDGE_RUNTIME": "cloud"})
    assert result.exit_code == Exit.USAGE
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["BRIDGE_RUNTIME", "--port"]


def test_the_banner_says_where_everything_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = settings.Settings(data_dir=tmp_path, functions=Path("functions"))
    up.banner(Screen(), found, "http://127.0.0.1:9999")
    said = capsys.readouterr().out
    assert "listens on http://127.0.0.1:9999" in said
    assert "BRIDGE_URL=http://127.0.0.1:9999 bridge automations" in said
    assert str(tmp_path / "functions.log") in said
