"""PowerShell functions that get messages and send some; host and worker are real, the namespace is the embedded broker."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from .conftest import StartApp
from .namespace import Namespace, busy
from .powershell_kit import BUS, HTTP, function


async def test_a_message_runs_its_script_and_the_output_is_sent_before_it_is_completed(start_app: StartApp, namespace: Namespace) -> None:
    script = """param($message, $TriggerMetadata)
        Push-OutputBinding -Name result -Value @{ got = $message['n']; correlation = $TriggerMetadata.CorrelationId }"""
    start_app({"Work": function(script, BUS)})
    await namespace.put({"n": 2**60})
    await namespace.until(1, "complete")

    assert namespace.steps == ["receive", "send", "complete"]
    assert namespace.bodies() == [{"got": 2**60, "correlation": "c-1"}]


async def test_a_body_comes_as_bytes_where_the_binding_says_so(start_app: StartApp, namespace: Namespace) -> None:
    script = 'param($message)\nPush-OutputBinding -Name result -Value "$($message.GetType().Name) $($message.Length)"\n'
    start_app({"Work": function(script, [{**BUS[0], "dataType": "binary"}, BUS[1]])})
    await namespace.put([1])
    await namespace.until(1, "complete")

    assert namespace.sent[0].body == b"Byte[] 3"


@pytest.mark.parametrize("point", ["taken-not-run", "ran-not-answered"])
async def test_a_worker_that_is_killed_at_the_worst_moment_loses_no_message(start_app: StartApp, namespace: Namespace, point: str) -> None:
    start_app({"Work": function("param($message)\nPush-OutputBinding result 'done'\n", BUS)}, BRIDGE_WORKER_CRASH_AT=point)
    await namespace.put({})
    await namespace.until(1, "complete")

    assert [each.body for each in namespace.sent] == [b"done"]


async def test_an_http_function_sends_its_other_outputs_before_it_answers(
    start_app: StartApp, http: aiohttp.ClientSession, namespace: Namespace
) -> None:
    script = """param($Request)
        Push-OutputBinding -Name result -Value @{ n = 1 }; Push-OutputBinding -Name result -Value 'two'
        Push-OutputBinding -Name Response -Value @{ Body = 'sent' }"""
    host = start_app({"Order": function(script, [*HTTP, BUS[1]])})
    await asyncio.to_thread(host.wait_for_log, "Connected to Service Bus")  # the namespace answers in this thread

    async with http.get(host.url("order")) as answer:
        assert (answer.status, await answer.text()) == (200, "sent")
    assert [each.topic for each in namespace.sent] == ["results", "results"]
    namespace.refusals = [busy()] * 100
    async with http.get(host.url("order")) as answer:
        assert answer.status == 500


async def test_a_message_whose_script_throws_comes_back_until_the_broker_gives_up(start_app: StartApp, namespace: Namespace) -> None:
    start_app({"Work": function("param($message)\nPush-OutputBinding result 'never'\nthrow 'boom'\n", BUS)})
    await namespace.put({})
    await namespace.until(3, "abandon")

    assert namespace.dead == 1
    assert namespace.sent == []
