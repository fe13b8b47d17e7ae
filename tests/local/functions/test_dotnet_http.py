"""HTTP functions of C# apps, as a caller sees them, where no recorded case goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from bridge.local.functions.rpc import dotnetapp

from . import dotnet_kit
from .conftest import need, wait_until
from .host_vector_kit import MASTER, RecordedHost, running

Json = dict[str, Any]

_KEYS = {"host.json": {"masterKey": {"name": "master", "value": MASTER}, "functionKeys": [{"name": "default", "value": "host-key"}]}}
_PLAIN = {"TICK_SCHEDULE": "0 0 0 1 1 *", "AzureWebJobs.AuthFunction.Disabled": "true"}
_FILES = {"host.json": '{"version": "2.0", "extensions": {"http": {"customHeaders": {"X-STAMP": "host", "X-Own": "1"}}}}'}
_APPS = {
    "plain": {"runtime": dotnetapp.LANGUAGE, "folder": "plain", "env": _PLAIN, "files": _FILES},
    "aspnet": {
        "runtime": dotnetapp.LANGUAGE,
        "folder": "aspnet",
        "files": _FILES,
        "env": {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "20000000"},
    },
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedHost]:
    """A host with an app of each model of HTTP."""
    need(dotnet_kit.runner() is not None, dotnet_kit.NEEDED)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(dotnetapp.VARIABLE, str(dotnet_kit.runner()))
        with running(tmp_path_factory.mktemp("host"), _APPS, {"keys": _KEYS}) as started:
            yield started


async def _get(host: RecordedHost, app: str, path: str, **request: Any) -> Json:
    return await host.app(app).send({"method": "GET", "path": path, **request})


async def test_the_answer_of_a_function_with_several_outputs_is_complete(host: RecordedHost) -> None:
    answer = await _get(host, "aspnet", "/api/Multi")
    assert (answer["status"], answer["body"], answer["headers"]["location"], "connection" in answer) == (202, b"multi", "/x", False)


@pytest.mark.parametrize("app", ["plain", "aspnet"])
async def test_a_status_below_200_is_500(host: RecordedHost, app: str) -> None:
    for status in (100, 199):
        assert (await _get(host, app, f"/api/status/{status}"))["status"] == 500
    assert (await _get(host, app, "/api/Hello"))["status"] == 200


async def test_an_app_reads_the_path_and_the_query_that_were_sent(host: RecordedHost) -> None:
    seen = json.loads((await _get(host, "aspnet", "/api/request/a%2541/b%2Fc?z=%zz&q={1}"))["body"])
    assert (seen["path"], seen["rest"], seen["query"]) == ("/api/request/a%41/b%2Fc", "a%41/b%2Fc", "?z=%25zz&q=%7B1%7D")


async def test_what_a_function_is_told_of_a_request_comes_from_its_route_then_its_query_then_its_body(host: RecordedHost) -> None:
    body = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": '{"name": "body", "n": 7}'}
    answer = await host.app("plain").send({"path": "/api/QueryParameter?NAME=first&name=last", **body})
    assert json.loads(answer["body"]) == {"name": "last", "n": 7}
    answer = await _get(host, "aspnet", "/api/context/route?one=query&q=1&q=2&code=host-key")
    told = {each["key"]: each["value"] for each in json.loads(answer["body"])["data"]}
    assert (told["one"], told["q"], json.loads(told["Query"])) == ("route", "2", {"one": "query", "q": "2", "code": "host-key"})
    assert "code" not in told


async def test_a_text_that_is_json_is_read(host: RecordedHost) -> None:
    for text, body in {"a": b"a", "[1]": b"[\n  1\n]", "%22q%22": b"q", "true": b"True"}.items():
        assert (await _get(host, "plain", f"/api/StringAnswer?text={text}"))["body"] == body


async def test_a_disabled_function_wants_its_key_and_runs_for_the_master_key_alone(host: RecordedHost) -> None:
    keys = {"": 401, "wrong": 401, "host-key": 404, MASTER: 200}
    assert {key: (await _get(host, "plain", f"/api/AuthFunction?code={key}"))["status"] for key in keys} == keys


async def test_an_empty_key_in_a_header_hides_the_one_in_the_query(host: RecordedHost) -> None:
    answer = await _get(host, "aspnet", "/api/AuthFunction?code=host-key", headers={"x-functions-key": ""})
    assert answer["status"] == 401


@pytest.mark.parametrize("app", ["plain", "aspnet"])
async def test_a_header_of_host_json_gives_way_to_the_function_s_own(host: RecordedHost, app: str) -> None:
    answer = await _get(host, app, "/api/status/200")
    assert (answer["headers"]["x-stamp"], answer["headers"]["x-own"]) == ("Status", "1")
    assert (await _get(host, app, "/api/none"))["headers"]["x-stamp"] == "host"


async def test_a_timer_function_gets_its_schedule_as_json_without_blanks(host: RecordedHost) -> None:
    by_hand = {"method": "POST", "headers": {"Content-Type": "application/json", "x-functions-key": MASTER}, "body": "{}"}
    for function, text in {"TickText": "tick text ", "TickSetting": "tick of the setting, "}.items():
        assert (await host.app("plain").send({"path": f"/admin/functions/{function}", **by_hand}))["status"] == 202
        said = f'{text}{{"Schedule":{{"AdjustForDST":true}},"ScheduleStatus":null,"IsPastDue":false}}'
        await asyncio.to_thread(wait_until, partial(lambda text: text in host.log, said), said)


async def test_an_answer_reaches_a_caller_whose_body_the_app_has_not_read(host: RecordedHost) -> None:
    answer = await host.app("aspnet").send({"method": "POST", "path": "/api/Hello", "bodyRepeat": ["0123456789", 1_900_000]})
    assert (answer.get("status"), answer.get("body")) == (200, b"Hello, !")
