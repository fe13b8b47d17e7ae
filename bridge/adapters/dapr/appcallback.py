"""Receives messages from the sidecar: Dapr's AppCallback service over gRPC, on a separate loopback port.

A sidecar with `--app-protocol grpc` understands these answers: SUCCESS removes the message, RETRY makes it redeliver the message, and
UNIMPLEMENTED or DROP would lose it. So a message is never answered with UNIMPLEMENTED: what cannot be handled now is redelivered. A sidecar
that delivers over HTTP gets a 503 with the fix. It keeps an event that is refused, and may lose one that is not answered at all.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from dapr.proto.runtime.v1 import appcallback_pb2 as callback

from bridge.adapters.dapr.sidecar import TOKEN_HEADER
from bridge.adapters.dapr.subscriptions import SubscriptionRegistry, SubscriptionRequest
from bridge.errors import ConfigurationError
from bridge.grpcserver import GrpcError, GrpcServer, Headers, Method
from bridge.ports import Ack

HOST = "127.0.0.1"
_USE_GRPC = (
    "The bridge accepts deliveries over gRPC only, because over HTTP Dapr 1.18 loses events whose deliveries fail at the same time. "
    'Start the sidecar with --app-protocol grpc (on Kubernetes: dapr.io/app-protocol: "grpc").'
)
_LARGEST = 32 * 2**20  #: bytes of a message with its properties
_SERVICE, _HEALTH = "/dapr.proto.runtime.v1.AppCallback/", "/dapr.proto.runtime.v1.AppCallbackHealthCheck/"
_DONE = callback.TopicEventResponse(status=callback.TopicEventResponse.SUCCESS).SerializeToString()
_RETRY = callback.TopicEventResponse(status=callback.TopicEventResponse.RETRY).SerializeToString()
_UNAUTHENTICATED = 16
_log = logging.getLogger("bridge.dapr.appcallback")


class AppCallbackServer:
    """Passes the messages that the sidecar delivers to the registry of subscriptions.

    `requested` are subscriptions that the sidecar is asked for, beyond those declared beside its components. Without a token, messages are
    accepted from everybody on this machine.
    """

    def __init__(self, token: str, registry: SubscriptionRegistry, requested: Sequence[SubscriptionRequest] = ()) -> None:
        self._token, self._registry, self._requested = token.encode(), registry, requested

    @classmethod
    @asynccontextmanager
    async def open(
        cls, port: int, token: str, registry: SubscriptionRegistry, requested: Sequence[SubscriptionRequest] = ()
    ) -> AsyncIterator[int]:
        """Listen while the context is open. Yields the port, a free one if it is 0. Raises ConfigurationError if the port is in use."""
        server = GrpcServer(cls(token, registry, requested)._methods(), max_message=_LARGEST, to_http_1=_USE_GRPC)
        try:
            taken = await server.start(HOST, port)
        except OSError as error:
            raise ConfigurationError([f"The port {port} for deliveries cannot be used ({error.strerror}); choose another."]) from None
        try:
            yield taken
        finally:
            await server.stop(grace=1)

    def _methods(self) -> dict[str, Method]:
        return {
            f"{_SERVICE}OnTopicEvent": self._on_topic_event,
            f"{_SERVICE}ListTopicSubscriptions": _answering(self._subscriptions),
            f"{_SERVICE}ListInputBindings": _answering(bytes),
            f"{_HEALTH}HealthCheck": _answering(bytes),
        }

    async def _on_topic_event(self, message: bytes, headers: Headers) -> bytes:
        if self._token and not self._is_authentic(headers):
            _log.warning("a request to the port for deliveries was refused, because it did not have the app token (APP_API_TOKEN)")
            raise GrpcError(_UNAUTHENTICATED, "The app token (APP_API_TOKEN) is missing or wrong.")
        request = callback.TopicEventRequest.FromString(message)
        ack = await self._registry.handle(request.path, request.data, headers)
        return _DONE if ack is Ack.DONE else _RETRY

    def _is_authentic(self, headers: Headers) -> bool:
        shown = next((value for name, value in headers if name == TOKEN_HEADER), "")
        return hmac.compare_digest(shown.encode(errors="surrogateescape"), self._token)

    def _subscriptions(self) -> bytes:
        # Anybody may read this, because Dapr 1.18 shows no token when it asks; it has names of topics and nothing else.
        requested = [
            callback.TopicSubscription(
                pubsub_name=each.component,
                topic=each.topic,
                metadata={"rawPayload": "true"},
                routes=callback.TopicRoutes(default=each.route),
            )
            for each in self._requested
        ]
        return callback.ListTopicSubscriptionsResponse(subscriptions=requested).SerializeToString()


def _answering(answer: Callable[[], bytes]) -> Method:
    """A method that gives the same answer to every request."""

    async def method(_message: bytes, _headers: Headers) -> bytes:
        return answer()

    return method
