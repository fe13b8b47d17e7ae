"""The port on which the sidecar brings messages by gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
from dapr.proto.runtime.v1 import appcallback_pb2 as callback
from dapr.proto.runtime.v1.appcallback_pb2_grpc import AppCallbackHealthCheckStub, AppCallbackStub
from google.protobuf.empty_pb2 import Empty

from bridge.adapters.dapr.appcallback import AppCallbackServer
from bridge.adapters.dapr.subscriptions import SubscriptionRegistry, SubscriptionRequest
from bridge.errors import ConfigurationError
from bridge.ports import Ack

SOURCE, TOKEN = "topic/bridge", "secret"
SUCCESS, RETRY = callback.TopicEventResponse.SUCCESS, callback.TopicEventResponse.RETRY


@dataclass
class Open:
    """The port, who takes what comes there, and a client as the sidecar is one."""

    port: int
    registry: SubscriptionRegistry
    channel: grpc.aio.Channel

    async def bring(self, body: bytes = b"event", *, source: str = SOURCE, token: str = TOKEN, **properties: str) -> int:
        """The status of the answer."""
        request = callback.TopicEventRequest(path=f"/deliveries/{source}", data=body)
        metadata = (("dapr-api-token", token), *((f"metadata.{name}".lower(), value) for name, value in properties.items()))
        return (await AppCallbackStub(self.channel).OnTopicEvent(request, metadata=metadata)).status


@pytest.fixture
async def callbacks() -> AsyncIterator[Open]:
    registry = SubscriptionRegistry(frozenset({SOURCE}))
    wanted = [SubscriptionRequest("bus", "work")]
    async with AppCallbackServer.open(0, TOKEN, registry, wanted) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Open(port, registry, channel)


async def test_a_message_that_is_done_is_a_success(callbacks, inbox):
    callbacks.registry.register(SOURCE, inbox, concurrency=1)
    assert await callbacks.bring(b"\xff\x00 no event", MessageId="m-1", Label="echo") == SUCCESS
    delivery = await inbox.next()
    assert (delivery.message.body, delivery.message.topic, delivery.source) == (b"\xff\x00 no event", "topic", SOURCE)
    assert (delivery.message.message_id, delivery.message.label) == ("m-1", "echo")


@pytest.mark.parametrize("trouble", [Ack.RETRY, RuntimeError("broken")], ids=["retry", "exception"])
async def test_trouble_asks_for_the_message_again(callbacks, inbox, trouble):
    inbox.answers = [trouble]
    callbacks.registry.register(SOURCE, inbox, concurrency=1)
    assert await callbacks.bring() == RETRY


@pytest.mark.parametrize("source", [SOURCE, "no/such/source", ""])
async def test_what_nobody_reads_comes_again(callbacks, source):
    assert await callbacks.bring(source=source) == RETRY


@pytest.mark.parametrize("token", ["", "secret2"])
async def test_without_the_token_nothing_is_taken(callbacks, inbox, token):
    callbacks.registry.register(SOURCE, inbox, concurrency=1)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await callbacks.bring(token=token)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert inbox.came.empty()


async def test_where_no_token_is_set_everybody_on_the_machine_is_heard(inbox):
    registry = SubscriptionRegistry(frozenset({SOURCE}))
    registry.register(SOURCE, inbox, concurrency=1)
    async with AppCallbackServer.open(0, "", registry) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await Open(port, registry, channel).bring(token="") == SUCCESS


async def test_a_message_of_many_megabytes_is_taken(callbacks, inbox):
    callbacks.registry.register(SOURCE, inbox, concurrency=1)
    assert await callbacks.bring(b"x" * 5_000_000) == SUCCESS


async def test_topics_that_are_wanted_are_asked_for_raw(callbacks):
    (asked,) = (await AppCallbackStub(callbacks.channel).ListTopicSubscriptions(Empty())).subscriptions
    assert (asked.pubsub_name, asked.topic, asked.routes.default) == ("bus", "work", "/deliveries/work")
    assert dict(asked.metadata) == {"rawPayload": "true"}


async def test_the_sidecars_look_whether_the_bridge_lives_needs_no_token(callbacks):
    assert await AppCallbackHealthCheckStub(callbacks.channel).HealthCheck(Empty()) == callback.HealthCheckResponse()


async def test_a_port_that_is_taken_is_told(callbacks):
    with pytest.raises(ConfigurationError, match=str(callbacks.port)):
        async with AppCallbackServer.open(callbacks.port, TOKEN, callbacks.registry):
            pass
