"""Functions called by the name of an HTTPEndpoint, through a real sidecar."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.adapters.dapr.functions import DaprFunctions
from bridge.adapters.dapr.sidecar import SidecarClient
from bridge.errors import CallFailed, ConfigurationError
from bridge.ports import FunctionCall
from bridge.settings import FunctionApp, Settings
from tests.acceptance.scripted import KEY, Scripted
from tests.dapr.mesh import App, member
from tests.dapr.sidecar import API_TOKEN, COMPONENTS, free_ports, sidecar

ENDPOINT = """
apiVersion: dapr.io/v1alpha1
kind: HTTPEndpoint
metadata: {{name: {name}}}
spec:
  baseUrl: {url}
  headers:
  - {{name: x-functions-key, value: {key}}}
"""


@pytest.fixture
def components(tmp_path: Path, app: Scripted) -> Path:
    """Those for a laptop, with two endpoints: the app, and one where nobody listens."""
    copied = shutil.copytree(COMPONENTS / "local", tmp_path / "components", ignore=shutil.ignore_patterns("endpoints"))
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    (copied / "app.yaml").write_text(ENDPOINT.format(name="app", url=app.url, key=KEY))
    (copied / "gone.yaml").write_text(ENDPOINT.format(name="gone", url=nobody, key=KEY))
    return copied


@pytest.fixture
async def functions(tmp_path: Path, components: Path, app: Scripted, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DaprFunctions]:
    monkeypatch.setenv("SCRIPTED_KEY", KEY)
    settings = Settings(function_apps={"direct": FunctionApp(url=app.url, key_env="SCRIPTED_KEY")}, data_dir=tmp_path)
    async with (
        sidecar(tmp_path, components, {"BRIDGE_STATE_FILE": str(tmp_path / "state.db")}) as beside,
        SidecarClient.open(beside.connection.address, API_TOKEN) as client,
    ):
        await client.wait_until_ready(20)
        async with DaprFunctions.open(settings, client, API_TOKEN) as opened:
            yield opened


def to(app: str, path: str = "/api/echo", body: bytes = b'{"number":1}', seconds: float = 10) -> FunctionCall:
    return FunctionCall(
        app, "POST", path, body, {"content-type": "application/json", "x-correlation-id": "r-1"}, timedelta(seconds=seconds)
    )


async def test_the_sidecar_adds_the_key_and_keeps_its_own_token(functions, app):
    answer = await functions.call(to("app"))
    assert (answer.status, answer.body) == (200, b'{"number": 1}')
    ((_, headers, body),) = app.calls
    assert (headers["x-functions-key"], headers["x-correlation-id"], body) == (KEY, "r-1", {"number": 1})
    assert "dapr-api-token" not in headers


@pytest.mark.parametrize(("act", "status"), [("broken", 500), ("busy-once", 429), ("missing", 404), ("nothing-204", 204), ("refuses", 422)])
async def test_what_the_function_answers_comes_through_once(functions, app, act, status):
    answer = await functions.call(to("app", "/api/act", b'{"act":"%s"}' % act.encode()))
    assert answer.status == status
    assert answer.headers.get("retry-after") == ("1" if status == 429 else None)
    assert len(app.calls) == 1


async def failure(functions: DaprFunctions, call: FunctionCall) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await functions.call(call)
    return caught.value


async def test_an_app_that_does_not_listen_never_ran(functions):
    fault = await failure(functions, to("gone"))
    assert (fault.reason, fault.may_have_run) == ("ConnectionFailed", False)


async def test_a_connection_that_closes_may_have_run_and_is_not_tried_again(functions, app):
    fault = await failure(functions, to("app", "/api/act", b'{"act":"hangs-up"}'))
    assert (fault.reason, fault.may_have_run) == ("ConnectionLost", True)
    assert len(app.calls) == 1


async def test_a_slow_answer_is_given_up(functions, app):
    fault = await failure(functions, to("app", "/api/slow", b"{}", seconds=0.5))
    assert (fault.reason, fault.may_have_run) == ("Timeout", True)


async def test_a_huge_answer_is_not_read(functions):
    assert (await failure(functions, to("app", "/api/act", b'{"act":"huge"}'))).reason == "AnswerTooLarge"


async def test_an_app_without_an_endpoint_is_called_where_the_settings_say(functions, app):
    assert (await functions.call(to("direct"))).status == 200
    assert "traceparent" not in app.calls[0][1]


async def test_an_app_with_a_sidecar_of_its_own_is_called_by_its_app_id_with_its_key(tmp_path, components, app, monkeypatch):
    monkeypatch.setenv("SCRIPTED_KEY", KEY)
    own, nobody = f"scripted-{secrets.token_hex(4)}", f"nobody-{secrets.token_hex(4)}"
    apps = {"behind": FunctionApp(app_id=own, key_env="SCRIPTED_KEY"), "gone": FunctionApp(app_id=nobody)}
    port = int(app.url.rpartition(":")[2])
    async with (
        member(tmp_path / "own", own, App(port=port), None, []),
        sidecar(tmp_path, components, {"BRIDGE_STATE_FILE": str(tmp_path / "state.db")}) as beside,
        SidecarClient.open(beside.connection.address, API_TOKEN) as client,
    ):
        await client.wait_until_ready(20)
        async with DaprFunctions.open(Settings(function_apps=apps, data_dir=tmp_path), client, API_TOKEN) as functions:
            assert (await functions.call(to("behind"))).status == 200
            assert (app.calls[-1][0], app.calls[-1][1]["x-functions-key"]) == ("/api/echo", KEY)
            fault = await failure(functions, to("gone"))
            assert (fault.reason, fault.may_have_run) == ("ConnectionFailed", False)
            assert [functions.unserved(each, "POST", "/api/echo") for each in apps] == ["", ""]


async def test_an_app_that_nobody_knows_is_told(functions):
    assert (await failure(functions, to("nowhere"))).reason == "UnknownApp"


async def test_endpoints_that_may_not_be_called_are_told_at_the_start(tmp_path, components):
    path = components / "configuration.yaml"
    path.write_text(path.read_text().replace("    - {name: invoke, version: v1.0, protocol: http}\n", ""))
    async with (
        sidecar(tmp_path, components, {"BRIDGE_STATE_FILE": str(tmp_path / "state.db")}) as beside,
        SidecarClient.open(beside.connection.address, API_TOKEN) as client,
    ):
        await client.wait_until_ready(20)
        with pytest.raises(ConfigurationError, match="name: invoke"):
            await asyncio.wait_for(DaprFunctions.open(Settings(), client, API_TOKEN).__aenter__(), 10)


async def test_a_sidecar_follows_redirects_as_the_docs_warn(functions, app):
    answer = await functions.call(to("app", "/api/act", b'{"act":"redirect"}'))
    assert answer.status != 302
    assert [path for path, _, _ in app.calls] == ["/api/act", "/api/echo"]
