"""Translates errors of the sidecar into errors of the bridge. This is the only place that does so.

The codes are those of the APIs that the adapter calls, as https://docs.dapr.io/reference/errors/error-codes/ lists them. One group means
that the message itself is refused, and would be refused again. Everything else is a problem of the sidecar, of a component behind it, or of
a setting that an operator can correct while the message waits. These are Unavailable.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from pydantic_core import from_json

from bridge.errors import Conflict, PortError, Unavailable, Undeliverable

#: These say something of a message or key rather than of the sidecar: the same request would be refused again.
REFUSED_FOR_GOOD = frozenset(
    {
        "ERR_PUBSUB_CLOUD_EVENTS_SER",
        "ERR_PUBSUB_EVENTS_SER",
        "ERR_PUBSUB_FORBIDDEN",
        "ERR_PUBSUB_REQUEST_METADATA",
        "ERR_TOPIC_NAME_EMPTY",
        "ERR_MALFORMED_REQUEST",
        "ERR_MALFORMED_REQUEST_DATA",
        "ERR_BAD_REQUEST",
    }
)
#: These may pass: the sidecar starts, a component is reloaded, the broker or store is away, or it cannot say what is wrong.
MAY_PASS = frozenset(
    {
        "ERR_PUBSUB_EMPTY",
        "ERR_PUBSUB_NOT_CONFIGURED",
        "ERR_PUBSUB_NOT_FOUND",
        "ERR_PUBSUB_PUBLISH_MESSAGE",
        "ERR_PUBLISH_OUTBOX",
        "ERR_STATE_BULK_GET",
        "ERR_STATE_GET",
        "ERR_STATE_SAVE",
        "ERR_STATE_STORE_NOT_CONFIGURED",
        "ERR_STATE_STORE_NOT_FOUND",
        "ERR_PERMISSION_DENIED",
        "ERR_HEALTH_NOT_READY",
        "ERR_HEALTH_APPID_NOT_MATCH",
        "ERR_OUTBOUND_HEALTH_NOT_READY",
        "ERR_API_UNIMPLEMENTED",
        "ERR_APP_CHANNEL_NIL",
        "ERR_BODY_READ",
        "ERR_INTERNAL",
        "ERR_MALFORMED_RESPONSE",
        "ERROR",
    }
)
#: Statuses of an answer without a code that the sidecar or a proxy before it gives to a request that it will never take.
_NEVER_TAKEN = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE})
#: What Service Bus's client says of a message that is larger than the namespace takes; Dapr has no code for it.
_TOO_LARGE = ("the message is too large", "message-size-exceeded")


@dataclass(frozen=True, slots=True)
class SidecarError:
    """An unsuccessful answer of the sidecar. `code` is Dapr's error code, empty if it gave none."""

    status: int
    code: str
    message: str
    entries: tuple[str, ...] = ()  #: the messages of a bulk publish that failed, where it names them

    @classmethod
    def read(cls, status: int, body: bytes) -> SidecarError:
        """Read the error from an answer with any body."""
        try:
            told = from_json(body)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            return cls(status, "", body[:500].decode(errors="replace"))
        failed = [each for each in told.get("failedEntries") or () if isinstance(each, dict)]
        message = told.get("message") or next((each.get("error") for each in failed if each.get("error")), "")
        return cls(status, str(told.get("errorCode", "")), str(message)[:500], tuple(str(each.get("entryId", "")) for each in failed))

    def __str__(self) -> str:
        return f"The sidecar answered {self.status} {self.code or 'without a code'}: {self.message or 'no message'}"


def publish_error(error: SidecarError) -> PortError:
    """Undeliverable if the same message would be refused again, otherwise Unavailable."""
    never_taken = not error.code and error.status in _NEVER_TAKEN
    if error.code in REFUSED_FOR_GOOD or never_taken or any(words in error.message for words in _TOO_LARGE):
        return Undeliverable(f"{error}.", hint="The sidecar's log says more.")
    return Unavailable(f"{error}.")


def state_error(error: SidecarError) -> PortError:
    """Conflict if the store reports another version. Otherwise Unavailable, which leaves open whether the value was written."""
    if error.status == HTTPStatus.CONFLICT:
        return Conflict(f"{error}.")
    return Unavailable(f"{error}.")
