from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ConfigurationError
from bridge.local.functions import apphostjson
from bridge.local.functions.hostjson import HostJson


def read(folder: Path, content: Any, **environment: str) -> HostJson:
    path = folder / "host.json"
    path.write_text(content if isinstance(content, str) else json.dumps({"version": "2.0", **content}))
    return apphostjson.read(path, environment)[0]


def test_what_it_has_too_much_is_named_and_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = {
        "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[1.*, 2.0.0)"},
        "extensions": {"http": {"routePrefix": ""}, "serviceBus": {"batchOptions": {"operationTimeout": 1}}},
        "telemetry": 1,
    }

    found = read(tmp_path, own)

    assert found.extensions.http.route_prefix == ""
    assert found.function_timeout == timedelta(minutes=30)
    assert "extensions.serviceBus.batchOptions.operationTimeout is not known" in caplog.text
    assert "telemetry has no effect" in caplog.text


def test_an_empty_object_is_taken_and_so_is_a_version_from_a_variable(tmp_path: Path) -> None:
    assert read(tmp_path, "{}").extensions.http.route_prefix == "api"
    assert read(tmp_path, '{"version": "1.0"}', AzureFunctionsJobHost__version="2.0").extensions.http.route_prefix == "api"
    with pytest.raises(ConfigurationError, match="version"):
        read(tmp_path, '{"version": "1.0", "customHandler": {}}', AzureFunctionsJobHost__version="2.0")


def test_names_take_any_letter_case_and_numbers_may_be_text(tmp_path: Path) -> None:
    found = read(tmp_path, {"Extensions": {"HTTP": {"maxconcurrentrequests": "5", "ROUTEPREFIX": 7}, "serviceBus": "x"}})

    assert (found.extensions.http.max_concurrent_requests, found.extensions.http.route_prefix) == (5, "7")


def test_comments_single_quotes_and_names_without_quotes_are_taken(tmp_path: Path) -> None:
    assert read(tmp_path, "// c\n{version: '2.0', 'functionTimeout': \"00:05:00\",}").function_timeout == timedelta(minutes=5)


def test_the_names_of_extension_4_count_unless_those_of_extension_5_are_there(tmp_path: Path) -> None:
    old = {
        "messageHandlerOptions": {"maxConcurrentCalls": 3, "MaxAutoRenewDuration": "00:01:00"},
        "SessionHandlerOptions": {"maxConcurrentSessions": 4, "messageWaitTime": "00:00:07"},
        "maxConcurrentCalls": 2,
    }
    bus = read(tmp_path, {"extensions": {"serviceBus": old}}).extensions.service_bus

    assert (bus.max_concurrent_calls, bus.max_concurrent_sessions) == (2, 4)
    assert (bus.max_auto_lock_renewal_duration, bus.session_idle_timeout) == (timedelta(minutes=1), timedelta(seconds=7))


@pytest.mark.parametrize("given", [{"autoCompleteMessages": False}, {"maxMessageBatchSize": 5}, {"batchOptions": {"autoComplete": False}}])
def test_what_only_the_trigger_can_say_is_taken_and_named_as_without_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, given: dict[str, Any]
) -> None:
    read(tmp_path, {"extensions": {"serviceBus": given}})

    assert "has no effect on functions in these languages, here or in Azure; write it in the trigger" in caplog.text


@pytest.mark.parametrize(
    "name", ["AzureFunctionsJobHost__extensions__http__routePrefix", "AZUREFUNCTIONSJOBHOST:Extensions:HTTP:RoutePrefix"]
)
def test_a_variable_stands_for_a_setting(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, {}, **{name: "over"}).extensions.http.route_prefix == "over"


@pytest.mark.parametrize(
    ("written", "timeout"),
    [
        ("5", timedelta(days=5)),
        (-1, None),
        ("", timedelta(minutes=30)),
        ("1.02:00:00", timedelta(days=1, hours=2)),
        ("0:10", timedelta(minutes=10)),
    ],
)
def test_a_timeout_is_a_dotnet_time_span(tmp_path: Path, written: object, timeout: timedelta | None) -> None:
    assert read(tmp_path, {"functionTimeout": written}).function_timeout == timeout


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "cannot be read"),
        ("[]", "one JSON object"),
        ({"version": 2.0}, 'needs "version": "2.0"'),
        ({"functionTimeout": "25:00:00"}, "hours over 23 are read as days"),
        ({"functionTimeout": "00:00:00.5"}, "from one second"),
        ({"functionTimeout": "long"}, "functionTimeout is 'long'"),
        ({"logging": {"logLevel": {"default": "Loud"}}}, "logging.logLevel.default is 'Loud'"),
        ({"logging": {"fileLoggingMode": "loud"}}, "fileLoggingMode"),
        ({"extensions": {"http": {"dynamicThrottlesEnabled": "maybe"}}}, "must be true or false"),
        ({"extensions": {"http": {"maxConcurrentRequests": "many"}}}, "must be a whole number"),
        ({"extensions": {"serviceBus": {"minMessageBatchSize": 6, "maxMessageBatchSize": 5}}}, "minMessageBatchSize 6 over"),
        ({"extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "abc"}}, "extensionBundle.version is 'abc'"),
    ],
)
def test_what_azure_refuses_is_refused_with_its_place(tmp_path: Path, content: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        read(tmp_path, content)
