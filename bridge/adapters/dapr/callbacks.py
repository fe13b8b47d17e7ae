"""Where the sidecar brings messages by gRPC: Dapr's AppCallback service, on a loopback port of its own.

A sidecar with `--app-protocol grpc` reads three answers: SUCCESS removes the message, RETRY brings it back, and UNIMPLEMENTED or DROP would
lose it. So nothing here ever answers UNIMPLEMENTED for a message: what cannot be handled now comes again.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from dapr.proto.runtime.v1 import appcallback_pb2 as callback
from google.protobuf.empty_pb2 import Empty

from bridge.adapters.dapr.readers import Readers, Wanted
from bridge.adapters.dapr.sidecar import TOKEN_HEADER
from bridge.errors import ConfigurationError
from bridge.ports import Ack

HOST = "127.0.0.1"
_LARGEST = 32 * 2**20  #: bytes of a message with its properties
_SERVICE, _HEALTH = "dapr.proto.runtime.v1.AppCallback", "dapr.proto.runtime.v1.AppCallbackHealthCheck"
_DONE = callback.TopicEventResponse(status=callback.TopicEventResponse.SUCCESS)
_RETRY = callback.TopicEventResponse(status=callback.TopicEventResponse.RETRY)
_log = logging.getLogger("bridge.dapr")

Context = grpc.aio.ServicerContext[Any, Any]


class Callbacks:
    """Hands what the sidecar brings to the readers. `wanted` is what it is asked to bring beyond the subscriptions that are declared beside
    its components. Without a token everybody on this machine is heard.
    """

    def __init__(self, token: str, readers: Readers, wanted: Sequence[Wanted] = ()) -> None:
        self._token, self._readers, self._wanted = token, readers, wanted

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, token: str, readers: Readers, wanted: Sequence[Wanted] = ()) -> AsyncIterator[int]:
        """Listen while the context is open; gives the port, a free one for 0. Raises ConfigurationError if the port is taken."""
        callbacks = cls(token, readers, wanted)
        # Two servers on one port would share what comes, in silence.
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _LARGEST)])
        server.add_generic_rpc_handlers(callbacks._services())
        try:
            taken = server.add_insecure_port(f"{HOST}:{port}")
        except RuntimeError:
            raise ConfigurationError([f"The port {port} for deliveries cannot be used; choose another."]) from None
        await server.start()
        try:
            yield taken
        finally:
            await server.stop(grace=1)

    def _services(self) -> tuple[grpc.GenericRpcHandler, ...]:
        messages = {
            "OnTopicEvent": _unary(self._on_topic_event, callback.TopicEventRequest, callback.TopicEventResponse),
            "ListTopicSubscriptions": _unary(self._list_topic_subscriptions, Empty, callback.ListTopicSubscriptionsResponse),
            "ListInputBindings": _unary(self._list_input_bindings, Empty, callback.ListInputBindingsResponse),
        }
        health = {"HealthCheck": _unary(_healthy, Empty, callback.HealthCheckResponse)}
        return (grpc.method_handlers_generic_handler(_SERVICE, messages), grpc.method_handlers_generic_handler(_HEALTH, health))

    async def _on_topic_event(self, request: callback.TopicEventRequest, context: Context) -> callback.TopicEventResponse:
        properties = await self._admitted(context)
        ack = await self._readers.handle(request.path, request.data, properties)
        return _DONE if ack is Ack.DONE else _RETRY

    async def _admitted(self, context: Context) -> dict[str, str]:
        """The properties that came with the call; a call without the token ends here."""
        properties = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        shown = properties.get(TOKEN_HEADER, "").encode(errors="surrogateescape")
        if self._token and not hmac.compare_digest(shown, self._token.encode()):
            _log.warning("a request to the port for deliveries was refused: it had not the token of the application (APP_API_TOKEN)")
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The token of the application (APP_API_TOKEN) is missing or another one.")
        return properties

    async def _list_topic_subscriptions(self, _request: Empty, _context: Context) -> callback.ListTopicSubscriptionsResponse:
        # Names of topics and nothing else: Dapr 1.18 shows no token when it asks for them.
        asked = [
            callback.TopicSubscription(
                pubsub_name=each.component,
                topic=each.topic,
                metadata={"rawPayload": "true"},
                routes=callback.TopicRoutes(default=each.route),
            )
            for each in self._wanted
        ]
        return callback.ListTopicSubscriptionsResponse(subscriptions=asked)

    async def _list_input_bindings(self, _request: Empty, _context: Context) -> callback.ListInputBindingsResponse:
        return callback.ListInputBindingsResponse()


async def _healthy(_request: Empty, _context: Context) -> callback.HealthCheckResponse:
    return callback.HealthCheckResponse()


def _unary(handler: Any, request: Any, response: Any) -> grpc.RpcMethodHandler[Any, Any]:
    serializer = response.SerializeToString
    return grpc.unary_unary_rpc_method_handler(handler, request_deserializer=request.FromString, response_serializer=serializer)
