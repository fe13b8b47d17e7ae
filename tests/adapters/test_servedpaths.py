"""Whether a function of a local app answers at a path of the catalogue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.adapters.apps import Apps
from bridge.local.functions import routelist
from bridge.local.functions.adminpages import AppState, ListedFunction
from bridge.local.functions.keys import KeyFile
from bridge.settings import FunctionApp


def listed(name: str, route: str | None, *methods: str, problem: str = "", disabled: bool = False) -> ListedFunction:
    binding: dict[str, Any] = {"type": "httpTrigger", "name": "req"} | ({"route": route} if route is not None else {})
    return ListedFunction(name, [binding | ({"methods": list(methods)} if methods else {})], problem=problem, disabled=disabled)


FUNCTIONS = [
    listed("items", "items/{id:int}/{part?}", "get"),
    listed("files", "files/{*rest}"),
    listed("Plain", None, "post"),
    listed("off", "off", disabled=True),
    listed("blob", "blob", problem="it has an input that this host cannot serve"),
    listed("broken", "{"),
    ListedFunction("timer", [{"type": "timerTrigger", "name": "t"}]),
]


@pytest.fixture
def apps(tmp_path: Path) -> Apps:
    running = {"url": "http://127.0.0.1:1", "key": "k", "pid": os.getpid(), "routes": routelist.of_app(AppState(FUNCTIONS), "api")}
    stopped = {"url": "http://127.0.0.1:2", "key": "k", "pid": os.getpid(), "problem": "No module named 'nothing'"}
    (tmp_path / "functions.json").write_text(json.dumps({"shop": running, "broken": stopped}))
    return Apps({"cloud": FunctionApp(url="https://cloud.example")}, tmp_path, {})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/items/7"),
        ("GET", "/API/Items/{id}"),
        ("GET", "/api/{kind}/7/part"),
        ("DELETE", "/api/files"),
        ("POST", "/api/files/a/{b}/c"),
        ("POST", "/api/plain"),
        ("GET", "/api/items/x?y=/z"),
    ],
)
def test_a_path_that_a_function_may_answer_is_served(apps: Apps, method: str, path: str) -> None:
    assert apps.unserved("shop", method, path) == ""


@pytest.mark.parametrize(
    ("app", "method", "path", "reason"),
    [
        ("shop", "GET", "/api/items", "shop has no function at /api/items; correct the path"),
        ("shop", "GET", "/api/items/1/2/3", "no function at"),
        ("shop", "GET", "/items/1", "no function at"),
        ("shop", "POST", "/api/items/{id}", "the function items of shop takes GET at /api/items/{id}, and not POST"),
        ("shop", "POST", "/api/off", "the function off of shop does not run: it is disabled by a setting"),
        ("shop", "POST", "/api/blob", "does not run: it has an input that this host cannot serve"),
        ("broken", "POST", "/api/x", "broken does not run: No module named 'nothing'"),
        ("ghost", "POST", "/api/x", "the local functions host has no app ghost"),
    ],
)
def test_any_other_path_is_named_with_the_reason(apps: Apps, app: str, method: str, path: str, reason: str) -> None:
    assert reason in apps.unserved(app, method, path)


def test_of_an_app_elsewhere_nothing_is_said(apps: Apps) -> None:
    assert apps.unserved("cloud", "GET", "/api/nowhere") == ""


def test_without_a_host_its_apps_are_served_by_nobody(tmp_path: Path) -> None:
    assert "no local functions host is running" in Apps({}, tmp_path, {}).unserved("shop", "GET", "/api/items/7")


def test_an_app_that_is_being_started_is_no_app_that_nobody_serves(tmp_path: Path) -> None:
    apps = Apps({"cloud": FunctionApp(url="https://cloud.example")}, tmp_path, {})
    file = KeyFile(tmp_path)
    file.starting(["shop", "cloud"])
    assert (apps.starting("shop"), apps.starting("cloud"), apps.starting("ghost")) == (True, False, False)
    assert apps.unserved("shop", "GET", "/api/items/7") == ""
    file.add("shop", {"url": "http://127.0.0.1:1", "key": "k", "pid": os.getpid()})
    assert not apps.starting("shop")
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_host_that_was_killed_left_is_no_start(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "functions-starting.json").write_text(json.dumps({"shop": ended.pid}))
    assert not Apps({}, tmp_path, {}).starting("shop")
