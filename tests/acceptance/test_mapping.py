"""Functions that want their input elsewhere than in a JSON body: in the path, the query, a header, or as a form."""

from __future__ import annotations

from typing import Any

import aiohttp

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted

Http = aiohttp.ClientSession


async def submitted(http: Http, automation: str, value: dict[str, Any], status: int = 200) -> Any:
    async with http.post(f"/v1/automations/{automation}/requests", json=value, headers={"Prefer": "wait=20"}) as answer:
        shown = await answer.json()
        assert answer.status == status, shown
        return shown


async def test_a_get_receives_its_input_in_path_query_and_headers(http: Http, app: Scripted) -> None:
    run = await submitted(http, "item.read", {"id": "a b", "tags": ["x", "y&z"], "team": "blue", "key": "sesame-open"})
    assert run["output"] == {"method": "GET", "url": "/api/items/a%20b?tag=x&tag=y%26z&v=2", "body": ""}
    _, headers, _ = app.calls[-1]
    assert (headers["x-team"], headers["x-api-key"], headers["x-correlation-id"]) == ("blue", "sesame-open", run["correlationId"])
    assert "content-type" not in headers


async def test_an_input_that_cannot_be_sent_is_refused_at_the_door_with_its_place(http: Http, app: Scripted) -> None:
    calls = len(app.calls)
    problem = await submitted(http, "item.read", {"id": "a/b"}, 422)
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("InvalidInput", "/id")
    assert "contain /" in problem["detail"]
    problem = await submitted(http, "item.read", {"id": "a", "team": "blue\r\nX-Evil: 1"}, 422)
    assert problem["errors"][0]["pointer"] == "/team"
    assert len(app.calls) == calls


async def test_a_form_arrives_as_a_form(http: Http, bridge: BridgeProcess) -> None:
    run = await submitted(http, "item.write", {"form": {"name": "Ada L", "n": 1}})
    assert run["output"] == {"method": "POST", "url": "/api/items/new", "body": "name=Ada+L&n=1"}
    assert "Ada" not in bridge.log()


async def test_an_answer_that_the_catalogue_calls_a_failure_is_one_and_is_not_tried_again(http: Http, app: Scripted) -> None:
    calls = len(app.calls)
    run = await submitted(http, "item.write", {"form": {"fail": "yes"}})
    assert (run["status"], run["error"]["code"], len(app.calls) - calls) == ("Failed", "FailedWhen", 1)
