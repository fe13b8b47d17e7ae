from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions import hostjson
from bridge.publishing import hostfile
from tests.publishing.app_kit import BUNDLE, write

SHARED = {"version": "2.0", "extensionBundle": BUNDLE, "extensions": {"serviceBus": {"maxConcurrentCalls": 16}}}


def test_an_app_keeps_its_own_file_to_the_byte(tmp_path: Path) -> None:
    app = write(tmp_path / "app", {"host.json": '{"version": "2.0", /* why */ }', "host.override.json": '{"functionTimeout": "00:01:00"}'})
    found = hostfile.of(app, tmp_path / "none.json")
    assert found.content == app / "host.json"
    assert not found.has_bundle


def test_an_app_without_one_gets_the_shared_file_with_its_override_as_the_local_host_reads_it(tmp_path: Path) -> None:
    write(tmp_path, {"host.json": SHARED})
    app = write(tmp_path / "app", {"host.override.json": {"extensions": {"serviceBus": {"maxConcurrentCalls": 10}}}})
    found = hostfile.of(app, tmp_path / "host.json")
    assert isinstance(found.content, bytes)
    assert hostjson.check(json.loads(found.content), "packaged") == hostjson.read(tmp_path / "host.json", app)
    assert json.loads(found.content)["extensions"]["serviceBus"] == {"maxConcurrentCalls": 10}
    assert found.has_bundle


def test_an_empty_one_brings_azures_default_with_its_bundle(tmp_path: Path) -> None:
    assert hostfile.of(write(tmp_path, {"host.json": "{}"}), tmp_path / "none.json").has_bundle


@pytest.mark.parametrize("content", ['{"version": "1"}', "{", '{"version": "2.0", "functionTimeout": "abc"}'])
def test_one_that_azures_host_would_refuse_is_refused_here(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigurationError, match=r"host\.json"):
        hostfile.of(write(tmp_path, {"host.json": content}), tmp_path / "none.json")


def test_a_shared_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.json does not exist; --host-json"):
        hostfile.of(tmp_path, tmp_path / "none.json")
