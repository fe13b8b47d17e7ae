"""C# functions with messages of Service Bus, on the embedded queue: what they are given, what they send, and how they settle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.entities import Entities
from bridge.local.functions.rpc import dotnetapp

from . import dotnet_kit
from .conftest import Host, Hosts, need
from .test_bridgework import TOKEN, ReportedTo
from .trigger_vector_broker import VectorNamespace, properties, queue

Json = dict[str, Any]

_SHAPES = ("text", "poco", "bytes", "message", "data", "properties", "batch-text", "batch-poco", "batch-message", "batch-throw")
_OUTPUTS = ("out-text", "out-poco", "out-bytes", "out-texts", "out-pocos", "to-topic", "out-message", "out-throw")
_QUEUES = (*_SHAPES, *_OUTPUTS, "settle", "settle-auto", "throw", "manual", "slow", "seen", "out")
_SESSIONS = ("session", "session-actions")


class BusApp:
    """The app of `shared/dotnet-functions` for Service Bus, running on a namespace."""

    def __init__(self, namespace: VectorNamespace, host: Host) -> None:
        self.namespace, self.host = namespace, host

    async def send(self, entity: str, *bodies: str, **properties: Any) -> None:
        await self.namespace.send(entity, [{"body": {"text": body}, "properties": properties} for body in bodies])

    async def reported(self, function: str, count: int = 1) -> list[Any]:
        """What the function says that it saw, once it has said so `count` times."""
        reports: list[Any] = []

        def found() -> bool:
            said = [json.loads(each["body"]["text"]) for each in self.namespace.broker.sent["seen"]]
            reports[:] = [each["what"] for each in said if each["function"] == function]
            return len(reports) >= count

        await _until(found, f"{count} reports of {function}")
        return reports

    async def sent(self, entity: str, count: int) -> list[str]:
        sent = self.namespace.broker.sent[entity]
        await _until(lambda: len(sent) >= count, f"{count} messages in {entity}")
        return sorted(each["body"]["text"] for each in sent)

    async def dead(self, entity: str) -> list[Any]:
        """The dead letters of an entity, once there are any."""
        async with asyncio.timeout(30):
            while not (dead := list(await self.namespace.broker.peek(f"{entity}/$DeadLetterQueue", 1, 10, None))):
                await asyncio.sleep(0.05)
        return dead

    async def outcomes(self, entity: str, count: int) -> list[str]:
        """How the messages of an entity were settled, in order."""
        events = self.namespace.broker.events[entity]
        await _until(lambda: sum(each["event"] == "settle" for each in events) >= count, f"{count} settlements in {entity}")
        return [each["outcome"] for each in events if each["event"] == "settle"]


async def _until(fact: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if fact():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"waited in vain for {what}")


@asynccontextmanager
async def _running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> AsyncIterator[BusApp]:
    dotnet = dotnet_kit.runner()
    need(dotnet is not None, dotnet_kit.NEEDED)
    monkeypatch.setenv(dotnetapp.VARIABLE, str(dotnet))
    subscriptions = [{"Name": "subscription", "Properties": properties("PT30S")}]
    described = {
        "Queues": [*(queue(each, lock="PT30S") for each in _QUEUES), *(queue(each, lock="PT30S", sessions=True) for each in _SESSIONS)],
        "Topics": [{"Name": "topic", "Subscriptions": subscriptions}, {"Name": "out-topic", "Subscriptions": subscriptions}],
    }
    data_dir, hosts = tmp_path / "data", Hosts()
    data_dir.mkdir()
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    dotnet_kit.copy_app("servicebus", tmp_path / "apps" / "bus")
    async with VectorNamespace(tmp_path, Entities.model_validate(described), ["seen", "out", "out-topic"]) as namespace:
        values = {"FUNCTIONS_WORKER_RUNTIME": "dotnet-isolated", "ServiceBus": namespace.connection_string}
        (tmp_path / "apps" / "bus" / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
        try:
            host = await asyncio.to_thread(hosts.start, data_dir, tmp_path / "apps", tmp_path / "host.json", *arguments)
            yield BusApp(namespace, host)
        finally:
            hosts.kill()


async def test_a_function_gets_a_message_in_the_form_that_its_parameter_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _running(tmp_path, monkeypatch) as app:
        await app.send("text", "hällo")
        await app.send("poco", '{"Id": "7", "Quantity": 2}')
        await app.send("bytes", "raw")
        await app.send("topic", "to all")
        await app.send("properties", "body", messageId="m-7", subject="about")
        assert await app.reported("QueueText") == ["hällo"]
        assert await app.reported("QueuePoco") == [{"Id": "7", "Quantity": 2, "Tags": None}]
        assert await app.reported("QueueBytes") == ["cmF3"]
        assert await app.reported("TopicText") == ["to all"]
        seen = {"message": "body", "messageId": "m-7", "deliveryCount": 1, "subject": "about"}
        assert await app.reported("QueueProperties") == [{**seen, "Sequence": True, "Time": True}]


async def test_a_function_that_takes_the_message_itself_gets_its_amqp_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _running(tmp_path, monkeypatch) as app:
        typed = [["count", {"type": "long", "value": 5}], ["id", {"type": "uuid", "value": "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"}]]
        message = {"body": {"base64": "/wAB"}, "properties": {"messageId": "m-1"}, "applicationProperties": typed}
        await app.namespace.send("message", [message])
        (seen,) = await app.reported("QueueMessage")
        assert seen["DeliveryCount"] == 1
        assert (seen["Body"], seen["MessageId"], seen["LockTokenSet"], seen["LockedUntil"]) == ("/wAB", "m-1", True, True)
        assert [(each["Key"], each["Type"], each["Value"]) for each in seen["Properties"]] == [
            ("count", "Int64", "5"),
            ("id", "Guid", "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"),
        ]


async def test_batches_reach_functions_as_arrays_of_each_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _running(tmp_path, monkeypatch) as app:
        await app.send("batch-text", "a", "b")
        await app.send("batch-poco", '{"Id": "1"}', '{"Id": "2"}')
        await app.send("batch-message", "x", "y")
        assert sorted(chain(*await app.reported("BatchText"))) == ["a", "b"]
        assert [each["Id"] for each in chain(*await app.reported("BatchPoco"))] == ["1", "2"]
        assert [each["Body"] for each in chain(*await app.reported("BatchMessage"))] == ["x", "y"]


async def test_what_a_function_returns_is_sent_in_every_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _running(tmp_path, monkeypatch) as app:
        await app.send("out-text", "text", "null")
        await app.send("out-texts", "a,b")
        await app.send("out-pocos", "two")
        await app.send("to-topic", "for the topic")
        sent = await app.sent("out", 5)
        assert [json.loads(each)["Quantity"] if each.startswith("{") else each for each in sent] == ["a", "b", "text", 1, 2]
        assert await app.sent("out-topic", 1) == ["for the topic"]


async def test_a_function_settles_its_own_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _running(tmp_path, monkeypatch) as app:
        await app.send("settle", "renew,complete")
        assert await app.outcomes("settle", 1) == ["accepted"]
        await app.send("settle", "abandon-with")  # the function completes what comes for the second time
        assert await app.outcomes("settle", 3) == ["accepted", "modified", "accepted"]
        await app.send("settle", "deadletter-with")
        assert (await app.outcomes("settle", 4))[-1] == "reject"
        (dead,) = await app.dead("settle")
        changed = {str(name): value for name, value in dead.properties_to_add.items()}
        assert (changed["DeadLetterReason"], changed["DeadLetterErrorDescription"]) == ("own reason", "own description")
        assert changed["changed"] == "dead"
        await app.send("settle", "defer-with")
        assert (await app.outcomes("settle", 5))[-1] == "defer"
        await app.send("settle-auto", "once")
        assert await app.outcomes("settle-auto", 1) == ["accepted"]
        assert "could not be settled" not in app.host.log


async def test_the_bridge_hears_how_a_call_ended_that_has_completed_its_message_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ReportedTo() as bridge, _running(tmp_path, monkeypatch, "--public-url", bridge.url) as app:
        for entity, body in ("settle-auto", "auto"), ("settle", "deadletter"), ("settle", "complete,throw"), ("settle", "abandon"):
            named = {
                "invocationid": f"r/{body}",
                "invocationurl": f"{bridge.url}/{entity}/{body.partition(',')[0]}",
                "invocationtoken": TOKEN,
            }
            given = [[name, {"type": "string", "value": text}] for name, text in {**named, "completes": "settled"}.items()]
            await app.namespace.send(entity, [{"body": {"text": body}, "applicationProperties": given}])
        assert len(await app.dead("settle")) == 1
        assert await app.outcomes("settle", 4)
        completed = {"status": "running", "settlement": "completed"}
        told = {"/settle-auto/auto": completed, "/settle/abandon": completed, "/settle/complete": "thrown by instruction"}

        def reported() -> Json:
            ends = [(path, report) for path, _, report in bridge.reports if "errorsWritten" not in report]
            assert len(ends) <= len(told)
            return {path: report["error"]["message"] if report["status"] == "failed" else report for path, report in ends}

        await _until(lambda: reported() == told, f"{told}")


async def test_a_function_works_with_the_session_of_its_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _running(tmp_path, monkeypatch) as app:
        await app.send("session", "hello", sessionId="s-1")
        assert await app.reported("SessionText") == [{"SessionId": "s-1", "Body": "hello"}]
        await app.send("session-actions", "first ", "release", sessionId="s-2")
        seen = await app.reported("SessionActions", 2)
        assert [each["before"] for each in seen] == ["", "first "]
        assert all(each["Locked"] for each in seen)


async def test_a_function_that_fails_sends_its_message_to_the_dead_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _running(tmp_path, monkeypatch) as app:
        await app.send("throw", "it")
        await app.send("manual", "left alone")
        assert await app.outcomes("throw", 3) == ["modified"] * 3
        app.host.wait_for_log("manual left alone")
        assert not [each for each in app.namespace.broker.events["manual"] if each["event"] == "settle"]
        app.host.wait_for_log("System.InvalidOperationException: cannot do it")


async def test_a_function_for_messages_runs_by_hand_in_the_form_that_its_parameter_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _running(tmp_path, monkeypatch) as app:
        entry = json.loads((app.host.data_dir / "functions.json").read_text())["bus-functions"]
        async with aiohttp.ClientSession(headers={"x-functions-key": entry["masterKey"]}) as http:
            for function in ("QueueText", "QueueMessage", "BatchText", "BatchMessage"):
                async with http.post(f"{entry['url']}/admin/functions/{function}", json={"input": "made up"}) as answer:
                    assert answer.status == 202
        assert await app.reported("QueueText") == ["made up"]
        assert await app.reported("BatchText") == [["made up"]]
        (seen,) = await app.reported("QueueMessage")
        assert seen["Body"] == "bWFkZSB1cA=="
        assert [each["Body"] for each in chain(*await app.reported("BatchMessage"))] == ["made up"]
