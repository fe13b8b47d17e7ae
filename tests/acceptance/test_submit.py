"""Asking for automations over HTTP, as a client written elsewhere would; all tests ask one bridge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.acceptance.runtimes import serving
from tests.acceptance.scripted import Scripted, scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
Http = aiohttp.ClientSession


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


@pytest.fixture
def app(served: Scripted) -> Scripted:
    served.forget()
    return served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asking(runtime_name: str, served: Scripted, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Http]:
    async with serving(runtime_name, tmp_path_factory.mktemp("bridge"), served) as bridge, Http(bridge.url) as session:
        yield session


@pytest.fixture
def http(asking: Http, app: Scripted) -> Http:
    return asking


async def ask(http: Http, automation: str, value: Any, **headers: str) -> tuple[int, Any, Any]:
    async with http.post(f"/v1/automations/{automation}/requests", json=value, headers=headers) as answer:
        return answer.status, await answer.json(), answer.headers


async def ended(http: Http, correlation_id: str) -> Any:
    async with http.get(f"/v1/requests/{correlation_id}?wait=20") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_a_request_is_accepted_and_its_run_found_by_the_callers_own_id(http: Http) -> None:
    status, run, headers = await ask(http, "echo", {"text": "hello", "number": 2**60}, **{"X-Correlation-Id": "order-1"})
    assert (status, headers["Location"], run["correlationId"]) == (202, "/v1/requests/order-1", "order-1")
    assert "Retry-After" in headers
    run = await ended(http, "order-1")
    assert (run["status"], run["output"]) == ("Succeeded", {"text": "hello", "number": 2**60})
    assert [attempt["outcome"] for attempt in run["invocations"][0]["attempts"]] == ["Succeeded"]


async def test_prefer_wait_answers_with_the_ended_run(http: Http) -> None:
    status, run, _ = await ask(http, "echo", {"text": "hello"}, Prefer="wait=10")
    assert (status, run["status"]) == (200, "Succeeded")


async def test_what_the_function_receives(http: Http, app: Scripted) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await ask(http, "echo", {"text": "x"}, **{"X-Correlation-Id": "order-2", "Prefer": "wait=10", "traceparent": trace})
    path, headers, body = app.calls[0]
    assert (path, body) == ("/api/echo", {"text": "x"})
    assert headers["x-invocation-id"] == "order-2/echo"
    assert (headers["x-correlation-id"], headers["x-attempt"], headers["traceparent"]) == ("order-2", "1", trace)
    assert headers["x-invocation-url"].endswith("/v1/invocations/order-2/echo")
    assert headers["x-deadline"].endswith("Z")


async def test_the_same_request_again_gives_the_same_run(http: Http, app: Scripted) -> None:
    first = await ask(http, "echo", {"text": "a"}, **{"X-Correlation-Id": "order-3", "Prefer": "wait=10"})
    again = await ask(http, "echo", {"text": "a"}, **{"X-Correlation-Id": "order-3"})
    assert (again[0], again[1]) == (200, first[1])
    assert app.count("order-3") == 1


async def test_ten_at_once_are_one_run(http: Http, app: Scripted) -> None:
    answers = await asyncio.gather(*(ask(http, "echo", {"text": "a"}, **{"X-Correlation-Id": "order-4"}) for _ in range(10)))
    assert {status for status, _, _ in answers} <= {200, 202}
    await ended(http, "order-4")
    await asyncio.sleep(0.3)
    assert app.count("order-4") == 1


async def test_the_same_id_for_something_else_is_a_conflict(http: Http) -> None:
    await ask(http, "echo", {"text": "a"}, **{"X-Correlation-Id": "order-5"})
    status, problem, headers = await ask(http, "echo", {"text": "b"}, **{"X-Correlation-Id": "order-5"})
    assert (status, problem["code"], headers["Content-Type"]) == (409, "CorrelationConflict", "application/problem+json")
    assert (await ended(http, "order-5"))["output"] == {"text": "a"}


@pytest.mark.parametrize(
    ("act", "status", "output", "code"),
    [
        ("text", "Succeeded", "plain words", None),
        ("nothing-204", "Succeeded", None, None),
        ("redirect", "Failed", None, "Http302"),
        ("missing", "Failed", None, "Http404"),
        ("refuses", "Failed", None, "NoSuchHost"),
        ("broken", "Failed", None, "Http500"),
        ("hangs-up", "Failed", None, "ConnectionLost"),
        ("huge", "Failed", None, "OutputTooLarge"),
        ("not-json", "Failed", None, "BadAnswer"),
    ],
)
async def test_what_an_answer_means(http: Http, act: str, status: str, output: object, code: str | None) -> None:
    _, run, _ = await ask(http, "act", {"act": act}, Prefer="wait=10")
    assert run["status"] == status
    assert run.get("error", {}).get("code") == code
    if status == "Succeeded":
        assert "output" in run
        assert run["output"] == output


@pytest.mark.parametrize("act", ["broken-once", "busy-once"])
async def test_a_passing_failure_is_tried_again_and_both_attempts_are_on_record(http: Http, act: str) -> None:
    _, run, _ = await ask(http, "act", {"act": act}, Prefer="wait=10")
    attempts = run["invocations"][0]["attempts"]
    assert (run["status"], run["output"]) == ("Succeeded", {"call": 2})
    assert [attempt["outcome"] for attempt in attempts] == ["Failed", "Succeeded"]
    assert attempts[0]["code"] in ("Http500", "Http429")
    assert all(attempt["durationMs"] >= 0 for attempt in attempts)


async def test_a_failure_that_stays_is_tried_as_often_as_the_policy_says(http: Http, app: Scripted) -> None:
    _, run, _ = await ask(http, "act", {"act": "broken"}, Prefer="wait=10")
    assert len(run["invocations"][0]["attempts"]) == 3 == app.count(run["correlationId"])


async def test_a_function_that_accepts_reports_its_result_later(http: Http, app: Scripted) -> None:
    _, run, _ = await ask(http, "act", {"act": "accepted"}, **{"X-Correlation-Id": "order-6"})
    while not app.calls:
        await asyncio.sleep(0.01)
    headers = app.calls[0][1]
    report = {"x-invocation-token": headers["x-invocation-token"]}
    async with http.post("/v1/invocations/order-6/act", json={"status": "running", "progress": {"percent": 40}}, headers=report) as answer:
        assert (answer.status, (await answer.json())["canceled"]) == (202, False)
    async with http.post("/v1/invocations/order-6/act", json={"status": "succeeded", "output": [1]}, headers=report) as answer:
        assert answer.status == 202
    run = await ended(http, "order-6")
    assert (run["status"], run["output"], run["progress"]["percent"]) == ("Succeeded", [1], 40)


async def test_a_forged_invocation_token_is_refused(http: Http, app: Scripted) -> None:
    await ask(http, "act", {"act": "accepted"}, **{"X-Correlation-Id": "order-7"})
    done = {"status": "succeeded", "output": "forged"}
    async with http.post("/v1/invocations/order-7/act", json=done, headers={"x-invocation-token": "guess"}) as answer:
        assert answer.status == 401
    async with http.get("/v1/requests/order-7") as answer:
        assert (await answer.json())["status"] in ("Pending", "Running")


async def test_the_raw_output(http: Http) -> None:
    await ask(http, "echo", {"text": "raw"}, **{"X-Correlation-Id": "order-8", "Prefer": "wait=10"})
    async with http.get("/v1/requests/order-8/output") as answer:
        assert (answer.status, await answer.json()) == (200, {"text": "raw"})
    _, failed, _ = await ask(http, "act", {"act": "refuses"}, Prefer="wait=10")
    async with http.get(f"/v1/requests/{failed['correlationId']}/output") as answer:
        assert (answer.status, (await answer.json())["code"]) == (409, "NoOutput")


async def test_every_change_is_streamed_until_the_end(http: Http, app: Scripted) -> None:
    await ask(http, "act", {"act": "accepted"}, **{"X-Correlation-Id": "order-9"})
    seen: list[Any] = []
    async with http.get("/v1/requests/order-9/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        async for line in stream.content:
            if not line.startswith(b"data: "):
                continue
            seen.append(json.loads(line[6:]))
            if app.calls and "progress" not in seen[-1]:
                token = {"x-invocation-token": app.calls[0][1]["x-invocation-token"]}
                async with http.post("/v1/invocations/order-9/act", json={"status": "running", "progress": {"percent": 5}}, headers=token):
                    pass
            elif "progress" in seen[-1] and seen[-1]["status"] == "Running":
                async with http.post("/v1/invocations/order-9/act", json={"status": "succeeded", "output": 1}, headers=token):
                    pass
    assert seen[-1]["status"] == "Succeeded"
    assert any(run["status"] == "Running" and run.get("progress", {}).get("percent") == 5 for run in seen)


async def test_fan_out_gives_the_outputs_by_target(http: Http) -> None:
    _, run, _ = await ask(http, "fan.all", {"x": 1}, Prefer="wait=10")
    assert (run["status"], run["output"]) == ("Succeeded", {"left": {"x": 1}, "right": {"x": 1}})


async def test_a_failing_target_fails_all_and_not_best_effort(http: Http) -> None:
    _, run, _ = await ask(http, "fan.all", {"right": "fails"}, Prefer="wait=10")
    assert (run["status"], run["error"]["code"]) == ("Failed", "TargetsFailed")
    assert {part["target"]: part["status"] for part in run["invocations"]} == {"left": "Succeeded", "right": "Failed"}
    _, run, _ = await ask(http, "fan.best-effort", {"right": "fails"}, Prefer="wait=10")
    assert (run["status"], list(run["output"])) == ("Succeeded", ["left"])


async def test_any_ends_with_the_first_and_cancels_the_rest(http: Http) -> None:
    _, run, _ = await ask(http, "fan.any", {}, Prefer="wait=10")
    assert run["status"] == "Succeeded"
    assert {part["target"]: part["status"] for part in run["invocations"]} == {"left": "Succeeded", "right": "Canceled"}


async def test_a_run_that_takes_too_long_times_out_at_its_deadline(http: Http, app: Scripted) -> None:
    _, run, _ = await ask(http, "slow", {}, Prefer="wait=10")
    assert (run["status"], run["error"]["code"]) == ("TimedOut", "DeadlineExceeded")
    app.release.set()


async def test_a_canceled_run_ends_when_its_function_has(http: Http, app: Scripted) -> None:
    await ask(http, "slow", {}, **{"X-Correlation-Id": "order-10"})
    while not app.calls:
        await asyncio.sleep(0.01)
    async with http.delete("/v1/requests/order-10") as answer:
        assert (answer.status, (await answer.json())["status"]) == (202, "Canceling")
    token = {"x-invocation-token": app.calls[0][1]["x-invocation-token"]}
    async with http.get("/v1/invocations/order-10/slow", headers=token) as answer:
        assert (await answer.json())["canceled"] is True
    app.release.set()
    run = await ended(http, "order-10")
    assert run["status"] in ("Canceled", "Succeeded")
    async with http.delete("/v1/requests/order-10") as answer:
        assert answer.status == 410


async def test_a_rerun_is_a_new_run_with_the_old_input_or_a_new_one(http: Http) -> None:
    await ask(http, "echo", {"text": "old"}, **{"X-Correlation-Id": "order-11", "Prefer": "wait=10"})
    async with http.post("/v1/requests/order-11/rerun", headers={"Prefer": "wait=10"}) as answer:
        run = await answer.json()
    assert (run["rerunOf"], run["output"]) == ("order-11", {"text": "old"})
    async with http.post("/v1/requests/order-11/rerun", json={"text": "new"}, headers={"Prefer": "wait=10"}) as answer:
        assert (await answer.json())["output"] == {"text": "new"}


async def test_the_list_is_newest_first_and_its_cursor_goes_on(http: Http) -> None:
    for number in range(7):
        await ask(http, "echo", {"number": number}, **{"X-Correlation-Id": f"list-{number}", "Prefer": "wait=10"})
    seen: list[str] = []
    cursor = ""
    while True:
        async with http.get("/v1/requests", params={"limit": "3", **({"cursor": cursor} if cursor else {})}) as answer:
            page = await answer.json()
        seen += [run["correlationId"] for run in page["items"]]
        cursor = page.get("nextCursor", "")
        if not cursor or len(seen) > 7:
            break
    assert seen[:7] == [f"list-{number}" for number in range(6, -1, -1)]


async def test_secrets_of_the_input_are_never_shown(http: Http, app: Scripted) -> None:
    _, run, _ = await ask(http, "echo", {"text": "x", "password": "hunter2"}, Prefer="wait=10")
    assert run["input"] == {"text": "x", "password": "***"}
    assert app.calls[0][2] == {"text": "x", "password": "hunter2"}
