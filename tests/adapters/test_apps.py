"""Where function apps are, and their keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.adapters.apps import App, Apps
from bridge.errors import CallFailed
from bridge.settings import FunctionApp


def host_writes(folder: Path, **apps: object) -> None:
    draft = folder / "draft"
    draft.write_text(json.dumps({name.replace("_", "-"): entry for name, entry in apps.items()}))
    draft.replace(folder / "functions.json")


def test_a_configured_app_has_its_key_from_a_file_or_the_environment(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("from-a-file\n")
    configured = {
        "one": FunctionApp(url="https://one.example", key_file=key),
        "two": FunctionApp(url="https://two.example", key_env="TWO"),
        "three": FunctionApp(url="https://three.example"),
    }
    apps = Apps(configured, tmp_path, {"TWO": "from-the-environment"})
    assert apps.find("one") == App("https://one.example", "from-a-file")
    assert apps.find("two") == App("https://two.example", "from-the-environment")
    assert apps.find("three") == App("https://three.example", "")


def test_the_settings_go_before_the_local_host(tmp_path: Path) -> None:
    host_writes(tmp_path, one={"url": "http://127.0.0.1:7071", "key": "k"})
    assert Apps({"one": FunctionApp(url="https://one.example")}, tmp_path, {}).find("one").url == "https://one.example"


def test_a_host_that_starts_later_or_again_is_found(tmp_path: Path) -> None:
    apps = Apps({}, tmp_path, {})
    with pytest.raises(CallFailed):
        apps.find("python-functions")
    for key in ("k1", "k2"):
        host_writes(tmp_path, python_functions={"url": "http://127.0.0.1:7071", "key": key, "pid": 1})
        assert apps.find("python-functions") == App("http://127.0.0.1:7071", key)


@pytest.mark.parametrize("content", ["{}", "not json", "[]", '{"a": 1}', '{"a": {"key": "k"}}', '{"a": null}'])
def test_a_file_that_does_not_name_the_app_is_no_crash(tmp_path: Path, content: str) -> None:
    (tmp_path / "functions.json").write_text(content)
    with pytest.raises(CallFailed, match="does not name it") as caught:
        Apps({}, tmp_path, {}).find("a")
    assert (caught.value.reason, caught.value.may_have_run) == ("UnknownApp", False)


@pytest.mark.parametrize(
    ("app", "says"),
    [
        (FunctionApp(url="https://a.example", key_env="NOT_SET"), "the variable NOT_SET is not set"),
        (FunctionApp(url="https://a.example", key_file=Path("/no/such/key")), "No such file"),
        (FunctionApp(url="https://a.example", key_file=Path("/dev/null")), "/dev/null is empty"),
    ],
)
def test_a_key_that_cannot_be_read_is_named(tmp_path: Path, app: FunctionApp, says: str) -> None:
    with pytest.raises(CallFailed, match=says):
        Apps({"a": app}, tmp_path, {}).find("a")


def test_a_key_never_shows(tmp_path: Path) -> None:
    assert "secret" not in repr(App("https://a.example", "secret"))


def test_a_local_host_is_expected_until_it_tells_and_again_when_it_is_gone(tmp_path: Path) -> None:
    apps = Apps({}, tmp_path, {})
    assert apps.expected("one")
    host_writes(tmp_path, one={"url": "http://127.0.0.1:7071", "key": "k", "pid": os.getpid()})
    assert not apps.expected("one")
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    host_writes(tmp_path, one={"url": "http://127.0.0.1:7071", "key": "k", "pid": gone.pid})
    assert apps.expected("one")


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "not json",
        "[]",
        '{"a": 1}',
        '{"a": {"key": "k"}}',
        '{"a": null}',
        '{"a": {"pid": "x"}}',
        '{"a": {"pid": 1e99}}',
        f'{{"a": {{"pid": {2**70}}}}}',
    ],
)
def test_nobody_is_expected_by_a_file_that_makes_no_sense(tmp_path: Path, content: str) -> None:
    (tmp_path / "functions.json").write_text(content)
    assert not Apps({}, tmp_path, {}).expected("a")


def test_nobody_is_expected_to_tell_of_an_app_that_is_configured(tmp_path: Path) -> None:
    assert not Apps({"one": FunctionApp(url="https://one.example")}, tmp_path, {}).expected("one")
