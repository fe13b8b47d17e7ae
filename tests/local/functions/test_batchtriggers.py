"""Functions in Python that take messages in batches, in a real host and worker, fed from a namespace over AMQP.

What PowerShell and custom handlers get of a batch is among the recorded vectors.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.ports import Message

from .conftest import Host, Hosts
from .namespace import TOPIC, Namespace
from .test_bridgework import ReportedTo, invoked

StartBatches = Callable[..., Host]

APP = """
import json, logging, os, pathlib, time, typing
import azure.functions as func

if pathlib.Path(os.environ.get("START_MARK", "none")).exists():
    raise ImportError("told not to start")

app = func.FunctionApp()

@app.service_bus_topic_trigger(
    "messages", topic_name="work", subscription_name="sample", connection="Bus", cardinality=func.Cardinality.MANY, {more}
)
@app.service_bus_topic_output("result", topic_name="results", connection="Bus")
def batch(messages: typing.List[func.ServiceBusMessage], result: func.Out[str]) -> None:
    bodies = [each.get_body().decode() for each in messages]
    logging.info("takes %d", len(messages))
    result.set(json.dumps({{"bodies": bodies, "ids": [each.message_id for each in messages], "kind": [
        each.application_properties.get("kind") for each in messages], "counts": [each.delivery_count for each in messages]}}))
    if "die" in bodies:
        os._exit(3)
    if any("fail" in each for each in bodies):
        raise RuntimeError("told to fail")
    time.sleep(sum("sleep" in each for each in bodies))
"""


@pytest.fixture
def start_batches(python: str, data_dir: Path, tmp_path: Path, hosts: Hosts) -> StartBatches:
    """Starts hosts of an app with one function that takes batches."""

    def start(more: str = "", *arguments: str, **service_bus: Any) -> Host:
        app = tmp_path / "apps" / "sample"
        app.mkdir(parents=True)
        (app / "function_app.py").write_text(APP.format(more=more))
        shared = tmp_path / "host.json"
        shared.write_text(json.dumps({"version": "2.0", "extensions": {"serviceBus": service_bus}}))
        return hosts.start(data_dir, tmp_path / "apps", shared, "--python", python, *arguments)

    return start


async def put(namespace: Namespace, *bodies: str, sessions: str = "") -> None:
    """Add messages, all at once; each letter of `sessions` is the session of one."""
    named = sessions or "s" * len(bodies)
    properties = [{"kind": f"k{number}"} for number in range(len(bodies))]
    messages = [
        Message(TOPIC, body.encode(), f"m-{number}", named[number], content_type="application/json", properties=properties[number])
        for number, body in enumerate(bodies)
    ]
    await namespace.bus.publish(messages)


async def test_a_call_takes_the_messages_that_are_there(start_batches: StartBatches, namespace: Namespace) -> None:
    start_batches("data_type=func.DataType.STRING")
    await namespace.until(1, "receive")
    await put(namespace, '{"n": 1}', "text", "[2]")
    await namespace.until(3, "complete")

    assert namespace.bodies() == [
        {"bodies": ['{"n": 1}', "text", "[2]"], "ids": ["m-0", "m-1", "m-2"], "kind": ["k0", "k1", "k2"], "counts": [1, 1, 1]}
    ]
    assert namespace.steps.index("send") < namespace.steps.index("complete")


async def test_without_a_data_type_bodies_are_json_written_anew(start_batches: StartBatches, namespace: Namespace) -> None:
    start_batches()
    await namespace.until(1, "receive")
    await put(namespace, "{n:1}", '"2026-11-28T10:00:00+02:00"')
    await namespace.until(2, "complete")

    assert [json.loads(each) for each in namespace.bodies()[0]["bodies"]] == [{"n": 1}, "2026-11-28T08:00:00+00:00"]


async def test_a_batch_with_a_message_that_is_no_json_fails_uncalled(start_batches: StartBatches, namespace: Namespace) -> None:
    host = start_batches()
    await namespace.until(1, "receive")
    await put(namespace, "{}", "text")
    await namespace.until(6, "abandon")

    assert (namespace.dead, namespace.sent) == (2, [])
    assert "a message of the batch is no JSON" in host.log
    assert "| takes" not in host.log


async def test_each_message_of_a_call_that_fails_is_abandoned(start_batches: StartBatches, namespace: Namespace) -> None:
    start_batches("data_type=func.DataType.STRING")
    await namespace.until(1, "receive")
    await put(namespace, "fail", "fine")
    await namespace.until(6, "abandon")

    assert (namespace.dead, namespace.sent, namespace.steps.count("complete")) == (2, [], 0)


async def test_a_call_takes_no_more_than_the_trigger_says(start_batches: StartBatches, namespace: Namespace) -> None:
    start_batches("data_type=func.DataType.STRING, max_message_batch_size=2")
    await namespace.until(1, "receive")
    await put(namespace, "1", "2", "3")
    await namespace.until(3, "complete")

    assert [each["bodies"] for each in namespace.bodies()] == [["1", "2"], ["3"]]


async def test_a_call_waits_for_the_smallest_batch_and_not_for_ever(start_batches: StartBatches, namespace: Namespace) -> None:
    start_batches("data_type=func.DataType.STRING", minMessageBatchSize=3, maxBatchWaitTime="00:00:01")
    await namespace.until(1, "receive")
    began = time.monotonic()
    await put(namespace, "1", "2")
    await namespace.until(2, "complete")
    assert time.monotonic() - began >= 1
    await put(namespace, "3", "4")
    await put(namespace, "5")
    await namespace.until(5, "complete")

    assert [each["bodies"] for each in namespace.bodies()] == [["1", "2"], ["3", "4", "5"]]


async def test_messages_that_come_during_a_call_are_for_the_next(start_batches: StartBatches, namespace: Namespace) -> None:
    host = start_batches("data_type=func.DataType.STRING")
    await namespace.until(1, "receive")
    await put(namespace, "sleep")
    await asyncio.to_thread(host.wait_for_log, "takes 1")
    await put(namespace, "2", "3")
    await namespace.until(3, "complete")

    assert [(each["bodies"], each["counts"]) for each in namespace.bodies()] == [(["sleep"], [1]), (["2", "3"], [1, 1])]


async def test_a_batch_is_of_one_session(start_batches: StartBatches, data_dir: Path) -> None:
    async with Namespace(data_dir, sessions=True) as namespace:
        start_batches("data_type=func.DataType.STRING, is_sessions_enabled=True", sessionIdleTimeout="00:00:00.2")
        await put(namespace, "a1", "b1", "a2", "b2", sessions="abab")
        async with asyncio.timeout(20):
            while len(namespace.sent) < 2:
                await asyncio.sleep(0.05)

        assert sorted(each["bodies"] for each in namespace.bodies()) == [["a1", "a2"], ["b1", "b2"]]


async def test_a_batch_that_runs_when_the_host_stops_is_completed(start_batches: StartBatches, namespace: Namespace) -> None:
    host = start_batches("data_type=func.DataType.STRING")
    await namespace.until(1, "receive")
    await put(namespace, "sleep", "sleep")
    await asyncio.to_thread(host.wait_for_log, "takes 2")

    assert await asyncio.to_thread(host.stop) == 0
    assert (namespace.steps.count("complete"), namespace.steps.count("abandon")) == (2, 0)


async def test_a_batch_that_waits_for_a_worker_goes_back_when_the_host_stops(
    start_batches: StartBatches, namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("START_MARK", str(tmp_path / "mark"))
    host = start_batches("data_type=func.DataType.STRING")
    await namespace.until(1, "receive")
    (tmp_path / "mark").touch()
    await put(namespace, "die", "fine")
    await namespace.until(2, "abandon")
    await asyncio.to_thread(host.wait_for_log, "the worker did not start")

    assert await asyncio.to_thread(host.stop) == 0
    assert (namespace.steps.count("abandon"), namespace.steps.count("release")) == (2, 2)


async def test_a_function_may_be_run_by_hand_with_a_batch_of_one(start_batches: StartBatches, namespace: Namespace) -> None:
    host = start_batches("data_type=func.DataType.STRING")
    headers = {"x-functions-key": host.app["masterKey"]}
    url = f"{host.app['url']}/admin/functions/batch"
    async with aiohttp.ClientSession() as http, http.post(url, json={"input": "by hand"}, headers=headers) as answer:
        assert answer.status == 202
    await namespace.until(1, "send")

    assert [(each["bodies"], each["ids"], each["counts"]) for each in namespace.bodies()] == [(["by hand"], [None], [0])]


async def test_work_of_the_bridge_in_a_batch_is_reported_each_for_itself_and_late_work_is_not_called(
    start_batches: StartBatches, namespace: Namespace
) -> None:
    async with ReportedTo() as bridge:
        host = start_batches("data_type=func.DataType.STRING", "--public-url", bridge.url)
        await namespace.until(1, "receive")
        await put(namespace, json.dumps(invoked(bridge, -1)), json.dumps(invoked(bridge, 60, say="fail")))
        await namespace.until(3, "abandon")

        codes = [report["error"]["code"] for _, _, report in bridge.reports]
        assert (codes[0], set(codes[1:])) == ("DeadlinePassed", {"RuntimeError"})
        assert (namespace.steps.count("complete"), namespace.dead) == (1, 1)
        assert "takes 1" in host.log
        assert "takes 2" not in host.log
