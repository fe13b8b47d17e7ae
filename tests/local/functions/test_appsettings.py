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


def test_the_tokens_of_bridge_and_sidecar_stay_with_them(tmp_path: Path) -> None:
    assert appsettings.read(tmp_path, {"APP_API_TOKEN": "a", "DAPR_API_TOKEN": "b", "DAPR_HTTP_PORT": "3500"}) == {"DAPR_HTTP_PORT": "3500"}


VISUAL_STUDIO = """{
  // written by Visual Studio
  "IsEncrypted": false,
  "Values": {
    "A": "https://example.com/*not a comment*/", /* one */
    "B": "2",
  },
  "Host": {"CORS": "*"},
}
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_file_is_read_as_windows_and_visual_studio_write_it(tmp_path: Path, encoding: str, line_end: str) -> None:
    (tmp_path / "local.settings.json").write_bytes(VISUAL_STUDIO.replace("\n", line_end).encode(encoding))

    assert appsettings.read(tmp_path, {}) == {"A": "https://example.com/*not a comment*/", "B": "2"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{\n  // a comment\n  "Values": {"A": "1" "B": "2"}\n}', "not JSON at line 3, column 23"),
        ("[" * 100_000, "nested too deeply"),
        ("", "cannot be read"),
        ('{"Values": ', "cannot be read"),
    ],
)
def test_a_file_that_is_no_json_is_refused_with_the_place(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)

    with pytest.raises(ConfigurationError, match=problem):
        appsettings.read(tmp_path, {})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"IsEncrypted": True}, "func settings decrypt"),
        ({"Values": {"A": {"B": 1}}}, "A must be text"),
        ([], "must be an object"),
        ({"Values": {"A": "1\0", "B": "2"}}, "'A' cannot be a variable"),
        ({"Values": {"A=B": "1", "": "2"}}, "'A=B', '' cannot be a variable"),
        ({"Values": {"A": "\ud800"}}, "'A' cannot be a variable"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, content: Any, problem: str) -> None:
    write(tmp_path, content)

    with pytest.raises(ConfigurationError, match=problem):
        appsettings.read(tmp_path, {})


def test_numbers_and_truth_values_are_texts_as_in_core_tools(tmp_path: Path) -> None:
    write(tmp_path, {"Values": {"A": 10, "B": True, "C": None, "D": "x"}})

    assert appsettings.read(tmp_path, {}) == {"A": "10", "B": "true", "D": "x"}


def test_names_in_percent_signs_are_replaced() -> None:
    assert appsettings.resolve("%A%-x-%B%", {"A": "1", "B": "2"}) == "1-x-2"
    with pytest.raises(KeyError, match="C"):
        appsettings.resolve("%C%", {})
