from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge import client as client_module
from bridge.client import BridgeClient, Problem, Unreachable, sse
from tests.scripted_api import ScriptedApi, run, serving


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with serving() as scripted:
        yield scripted


@pytest.fixture
async def client(api: ScriptedApi) -> AsyncIterator[BridgeClient]:
    async with BridgeClient(api.url, "t0ken") as opened:
        yield opened


async def test_a_request_carries_input_id_deadline_wait_and_token(client: BridgeClient, api: ScriptedApi) -> None:
    found = await client.submit("works", {"n": 2**60}, correlation_id="a", wait=99, deadline=datetime(2026, 1, 1, tzinfo=UTC))
    method, path, headers, body = api.last
    assert (method, path, json.loads(body)) == ("POST", "/v1/automations/works/requests", {"n": 2**60})
    assert (headers["x-correlation-id"], headers["prefer"], headers["authorization"]) == ("a", "wait=60", "Bearer t0ken")
    assert headers["x-deadline"] == "2026-01-01T00:00:00+00:00"
    assert found["status"] == "Pending"


async def test_a_request_without_an_id_gets_one_that_can_be_sent_again(client: BridgeClient, api: ScriptedApi) -> None:
    found = await client.submit("works", {})
    assert len(found["correlationId"]) == 36
    assert api.last[2]["x-correlation-id"] == found["correlationId"]


async def test_an_id_that_no_header_can_carry_is_refused_at_once(client: BridgeClient, api: ScriptedApi) -> None:
    with pytest.raises(Problem, match=r"'a\\nb' is not a correlation id") as caught:
        await client.submit("works", {}, correlation_id="a\nb")
    assert (caught.value.code, api.seen) == ("InvalidCorrelationId", [])


async def test_a_problem_tells_status_code_detail_hint_and_violations(client: BridgeClient) -> None:
    with pytest.raises(Problem) as caught:
        await client.submit("works", {"bad": 1})
    problem = caught.value
    assert (problem.status, problem.code, problem.detail, problem.hint) == (
        422,
        "InvalidInput",
        "The input does not fit.",
        "Do something else.",
    )
    assert problem.errors == [{"pointer": "/bad", "rule": "additionalProperties", "detail": "bad is not allowed"}]


@pytest.mark.parametrize("status", [200, 302, 502])
async def test_a_server_that_is_no_bridge_is_a_problem_and_no_crash(client: BridgeClient, api: ScriptedApi, status: int) -> None:
    api.body_for_all = (status, "text/html", "<html>")
    with pytest.raises(Problem, match=f"HTTP {status}, from something that is not a bridge"):
        await client.get("a")


async def test_a_bridge_that_is_not_there_is_named_with_what_to_do() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with BridgeClient(url) as client:
        with pytest.raises(Unreachable, match=rf"No bridge answers at {url} \(connection refused\). Start one with `bridge up`"):
            await client.get("a")


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://127.0.0.1", "http://127.0.0.1:port"])
async def test_an_address_that_cannot_be_one_is_unreachable(url: str) -> None:
    with pytest.raises(Unreachable, match="No bridge answers at"):
        async with BridgeClient(url) as client:
            await client.get("a")


async def test_following_shows_every_change_until_the_end(client: BridgeClient) -> None:
    await client.submit("works", {}, correlation_id="a")
    seen = [(each["status"], each.get("progress", {}).get("percent")) async for each in client.follow("a")]
    assert seen == [("Running", 40), ("Succeeded", None)]


async def test_where_the_stream_breaks_following_asks_again_until_the_end(client: BridgeClient, api: ScriptedApi) -> None:
    api.streams = False
    await client.submit("works", {}, correlation_id="a")
    seen = [each["status"] async for each in client.follow("a")]
    assert seen == ["Running", "Succeeded"]
    assert api.last[1] == "/v1/requests/a?wait=5"


async def test_following_gives_up_on_a_bridge_that_stays_away(
    client: BridgeClient, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_PATIENCE", 1)
    api.body_for_all = (503, "application/problem+json", '{"code": "Unavailable", "detail": "It starts."}')
    with pytest.raises(Problem, match="It starts"):
        _ = [each async for each in client.follow("a")]


async def test_following_an_unknown_run_is_a_problem(client: BridgeClient) -> None:
    with pytest.raises(Problem) as caught:
        _ = [each async for each in client.follow("nobody")]
    assert caught.value.status == 404


async def test_waiting_ends_with_the_time_and_the_run_as_it_stands(client: BridgeClient) -> None:
    await client.submit("endless", {}, correlation_id="a")
    seen: list[str] = []
    found = await client.wait("a", 0.3, lambda latest: seen.append(latest["status"]))
    assert found["status"] == "Running"
    assert seen[0] == "Running"


async def test_waiting_for_a_run_that_is_not_there_yet_lets_the_bridge_wait_for_it(client: BridgeClient, api: ScriptedApi) -> None:
    with pytest.raises(Problem):
        await client.wait("nobody", 2.5)
    assert [path for _, path, _, _ in api.seen] == ["/v1/requests/nobody", "/v1/requests/nobody?wait=2.5"]


async def test_the_output_comes_as_it_is(client: BridgeClient) -> None:
    await client.submit("works", {}, correlation_id="a")
    assert await client.output("a") is None
    await client.get("a", wait=1)
    assert await client.output("a") == b'{"answer":1152921504606846976}'


async def test_a_failed_run_has_no_output(client: BridgeClient) -> None:
    await client.submit("fails", {}, correlation_id="a")
    await client.get("a", wait=1)
    with pytest.raises(Problem) as caught:
        await client.output("a")
    assert caught.value.code == "NoOutput"


@pytest.mark.parametrize(("limit", "expected"), [(3, 3), (5, 5), (100, 5)])
async def test_listing_goes_from_page_to_page(client: BridgeClient, api: ScriptedApi, limit: int, expected: int) -> None:
    api.runs = {str(number): run(str(number), "works", "Succeeded") for number in range(5)}
    found = [each["correlationId"] async for each in client.runs(status="Succeeded", since=datetime(2026, 1, 1, tzinfo=UTC), limit=limit)]
    assert found == [str(number) for number in range(expected)]
    assert "status=Succeeded" in api.last[1]
    assert "since=2026-01-01T00%3A00%3A00%2B00%3A00" in api.last[1]


async def test_a_page_without_any_run_is_not_the_end_of_a_list(client: BridgeClient, api: ScriptedApi) -> None:
    api.runs = {str(number): run(str(number), "works", "Failed" if number in (4, 7) else "Succeeded") for number in range(9)}
    assert [each["correlationId"] async for each in client.runs(status="Failed")] == ["4", "7"]


async def test_events_go_out_as_cloudevents(client: BridgeClient, api: ScriptedApi) -> None:
    event: dict[str, Any] = {"specversion": "1.0", "id": "e", "source": "/t", "type": "automation.requested", "subject": "works"}
    assert (await client.publish_event(event))["correlationId"] == "e"
    assert api.last[2]["content-type"] == "application/cloudevents+json"
    assert [each["correlationId"] for each in await client.publish_events([event, {**event, "id": "f"}])] == ["e", "f"]
    assert api.last[2]["content-type"] == "application/cloudevents-batch+json"


async def test_a_run_can_be_canceled_once(client: BridgeClient) -> None:
    await client.submit("works", {}, correlation_id="a")
    assert (await client.cancel("a"))["status"] == "Canceling"
    await client.get("a", wait=1)
    with pytest.raises(Problem) as caught:
        await client.cancel("a")
    assert caught.value.code == "AlreadyEnded"


@pytest.mark.parametrize(("given", "sent"), [((), b""), (({"n": 1},), b'{"n": 1}'), ((None,), b"null")])
async def test_a_rerun_has_the_old_input_or_another(client: BridgeClient, api: ScriptedApi, given: tuple[Any, ...], sent: bytes) -> None:
    await client.submit("works", {}, correlation_id="a")
    assert (await client.rerun("a", *given))["rerunOf"] == "a"
    assert api.last[3] == sent


async def test_dead_letters_are_listed_shown_replayed_and_discarded(client: BridgeClient, api: ScriptedApi) -> None:
    assert [each["id"] async for each in client.dead_letters()] == ["d1"]
    assert (await client.dead_letter("d1"))["reason"] == "Malformed"
    await client.replay("d1")
    await client.discard("d1")
    assert [each[:2] for each in api.seen[-2:]] == [("POST", "/v1/deadletters/d1/replay"), ("DELETE", "/v1/deadletters/d1")]


async def test_automations_are_shown_with_their_schema(client: BridgeClient) -> None:
    assert await client.automations() == [await client.automation("works")]


@pytest.mark.parametrize(("correlation_id", "path"), [("a/b?c", "a%2Fb%3Fc"), ("..", ".."), ("a:b@c", "a:b@c"), ("ä", "%C3%A4")])
async def test_whatever_the_id_the_path_stays_below_requests(
    client: BridgeClient, api: ScriptedApi, correlation_id: str, path: str
) -> None:
    with pytest.raises(Problem):
        await client.get(correlation_id)
    assert api.last[1] == f"/v1/requests/{path}"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_server_sent_events_are_read_however_they_are_cut(size: int) -> None:
    text = b": hello\n\nevent: run\ndata: one\ndata: two\n\ndata:three\r\n\r\ndata: unfinished"

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(text), size):
            yield text[start : start + size]

    assert [data async for data in sse.read(chunks())] == ["one\ntwo", "three"]
