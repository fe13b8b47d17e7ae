from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.local.functions import keys
from bridge.local.functions.keys import AppKeys, KeyAccess, KeyFile


@pytest.mark.parametrize(
    ("headers", "query", "opens"),
    [
        ({"x-functions-key": "k"}, {}, True),
        ({}, {"code": "k"}, True),
        ({"x-functions-key": "wrong"}, {"code": "k"}, False),
        ({"x-functions-key": ""}, {}, False),
        ({"x-functions-key": "ключ"}, {}, False),
        ({"x-functions-key": b"\xff\xfe".decode("utf-8", "surrogateescape")}, {}, False),
        ({}, {"code": "\ufffd"}, False),
        ({}, {}, False),
    ],
)
def test_the_key_comes_in_the_header_or_in_the_query(headers: dict[str, str], query: dict[str, str], opens: bool) -> None:
    assert keys.opens("k", headers, query) is opens


@pytest.mark.parametrize(
    ("shown", "access"),
    [("k,wrong", KeyAccess.GRANTED), ("wrong,k", KeyAccess.NOTHING), ("with,comma", KeyAccess.GRANTED), ("with", KeyAccess.NOTHING)],
)
def test_of_several_keys_the_first_counts(shown: str, access: KeyAccess) -> None:
    app = AppKeys("m", ("k", "with,comma"))
    assert app.access({"x-functions-key": shown}, {}, "function") is access
    assert app.access({}, {"code": shown}, "function") is access
    assert (app.shown({"x-functions-key": shown}, {}, "F") is not None) is (access is KeyAccess.GRANTED)


def test_every_start_makes_another_key() -> None:
    assert len({keys.make() for _ in range(100)}) == 100
    assert len(keys.make()) >= 32


def test_only_the_owner_can_read_the_file_and_it_names_every_app(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "data")
    file.add("a-functions", {"url": "http://127.0.0.1:1"})
    file.add("b-functions", {"url": "http://127.0.0.1:2"})
    path = tmp_path / "data" / "functions.json"

    assert path.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(path.read_text())) == ["a-functions", "b-functions"]
    assert list(path.parent.iterdir()) == [path]


def test_an_app_that_does_not_run_is_named_once_another_does(tmp_path: Path) -> None:
    file, path = KeyFile(tmp_path), tmp_path / "functions.json"
    file.add_stopped("a-functions", {"problem": "it is broken"})
    assert not path.exists()
    file.add("b-functions", {"url": "http://127.0.0.1:2"})
    file.add_stopped("c-functions", {"problem": "it is broken"})
    assert list(json.loads(path.read_text())) == ["a-functions", "b-functions", "c-functions"]


def test_a_host_that_stops_removes_its_own_file_and_no_other(tmp_path: Path) -> None:
    old, new = KeyFile(tmp_path), KeyFile(tmp_path)
    old.add("a-functions", {"pid": 1})
    new.add("a-functions", {"pid": 2})

    old.remove()
    assert (tmp_path / "functions.json").exists()
    new.remove()
    assert not (tmp_path / "functions.json").exists()
