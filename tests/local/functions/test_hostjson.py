from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions import hostjson

CHECKOUT = Path(__file__).parents[3]


def problems(content: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as refused:
        hostjson.check({"version": "2.0", **content}, "host.json")
    return str(refused.value)


def test_the_file_that_is_shipped_is_right_for_azure_and_for_this_host(tmp_path: Path) -> None:
    shipped = hostjson.read(CHECKOUT / "host.json", tmp_path)

    assert shipped.function_timeout == timedelta(minutes=10)
    assert shipped.extension_bundle is not None
    assert shipped.extensions.service_bus.max_auto_lock_renewal_duration > shipped.function_timeout


def test_the_override_of_an_app_changes_only_what_it_names(tmp_path: Path) -> None:
    root = tmp_path / "host.json"
    root.write_text(json.dumps({"version": "2.0", "extensions": {"serviceBus": {"maxConcurrentCalls": 3, "prefetchCount": 1}}}))
    (tmp_path / "host.override.json").write_text(json.dumps({"extensions": {"serviceBus": {"maxConcurrentCalls": 5}}}))

    bus = hostjson.read(root, tmp_path).extensions.service_bus

    assert (bus.max_concurrent_calls, bus.prefetch_count) == (5, 1)


@pytest.mark.parametrize(
    ("written", "timeout"),
    [("00:10:00", timedelta(minutes=10)), ("1.00:00:00", timedelta(days=1)), ("00:00:00.25", timedelta(seconds=0.25)), ("-1", None)],
)
def test_function_timeout_is_a_time_or_unbounded(written: str, timeout: timedelta | None) -> None:
    assert hostjson.check({"version": "2.0", "functionTimeout": written}, "host.json").function_timeout == timeout


@pytest.mark.parametrize("old", ["messageHandlerOptions", "sessionHandlerOptions", "batchOptions", "maxAutoRenewDuration", "autoComplete"])
def test_settings_of_the_old_extension_are_refused_with_what_to_write_instead(old: str) -> None:
    assert f"extensions.serviceBus.{old} belongs to extension 4.x and has no effect; write " in problems(
        {"extensions": {"serviceBus": {old: {}}}}
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"version": "1.0"}, "version"),
        ({"functionTimout": "00:10:00"}, "functionTimout is not a setting of host.json that this host knows"),
        ({"functionTimeout": "99999999999.00:00:00"}, "functionTimeout: is a longer time than can be counted"),
        ({"functionTimeout": "10 minutes"}, 'functionTimeout: must be a time like "00:05:00"'),
        ({"extensions": {"serviceBus": {"maxConcurrentCalls": 0}}}, "extensions.serviceBus.maxConcurrentCalls"),
        ({"extensions": {"serviceBus": {"autoCompleteMessages": False}}}, "Python functions cannot settle a message themselves"),
        ({"extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[3.*, 4.0.0)"}}, "extensionBundle.version"),
    ],
)
def test_what_azure_would_refuse_or_ignore_is_refused_with_its_place(content: dict[str, Any], problem: str) -> None:
    assert problem in problems(content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_comments_trailing_commas_and_byte_order_marks_are_taken(tmp_path: Path, encoding: str) -> None:
    root = tmp_path / "host.json"
    root.write_bytes('{\r\n  "version": "2.0", // the only one\r\n  "functionTimeout": "00:10:00",\r\n}'.encode(encoding))
    (tmp_path / "host.override.json").write_bytes('{/* less */ "functionTimeout": "00:05:00",}'.encode(encoding))

    assert hostjson.read(root, tmp_path).function_timeout == timedelta(minutes=5)


def test_all_problems_are_told_at_once() -> None:
    assert len(problems({"a": 1, "b": 2}).splitlines()) == 2


def test_a_file_without_a_version_or_without_json_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    for content, problem in (("{}", 'needs "version": "2.0"'), ("{", "cannot be read"), ("[]", "one JSON object")):
        path.write_text(content)
        with pytest.raises(ConfigurationError, match=problem):
            hostjson.read(path, tmp_path)
    with pytest.raises(ConfigurationError, match="--host-json"):
        hostjson.read(tmp_path / "none.json", tmp_path / "app")
