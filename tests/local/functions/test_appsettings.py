from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions import appsettings


def write(folder: Path, content: Any) -> None:
    (folder / "local.settings.json").write_text(json.dumps(content))


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, {"IsEncrypted": False, "Values": {"A": "file", "B": "file"}})

    assert appsettings.read(tmp_path, {"B": "environment"}) == {"A": "file", "B": "environment"}


def test_settings_of_the_bridge_stay_with_the_bridge(tmp_path: Path) -> None:
    assert appsettings.read(tmp_path, {"BRIDGE_TOKENS": "secret", "PATH": "/bin"}) == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [({"IsEncrypted": True}, "func settings decrypt"), ({"Values": {"A": 1}}, "A must be text"), ([], "must be an object")],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, content: Any, problem: str) -> None:
    write(tmp_path, content)

    with pytest.raises(ConfigurationError, match=problem):
        appsettings.read(tmp_path, {})


def test_names_in_percent_signs_are_replaced() -> None:
    assert appsettings.resolve("%A%-x-%B%", {"A": "1", "B": "2"}) == "1-x-2"
    with pytest.raises(KeyError, match="C"):
        appsettings.resolve("%C%", {})
