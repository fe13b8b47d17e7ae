"""The idempotency key of a request, which tells a repeat from a conflict (one correlation id, one run)."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import rfc8785

from bridge.cloudevents import REQUESTED, Event
from bridge.errors import InvalidCorrelationId, Malformed
from bridge.run import Run

#: In a URL the ids `.` and `..` would be swallowed (RFC 3986, section 5.2.4).
_CORRELATION_ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._:@-]{1,100}")


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Identifies a request. Two requests with the same correlation id are the same if automation, submitter and input digest agree."""

    correlation_id: str
    automation: str
    submitter: str
    digest: str

    def matches(self, run: Run) -> bool:
        """Whether `run` belongs to this request."""
        return (run.automation, run.control.submitter, run.control.digest) == (self.automation, self.submitter, self.digest)


def idempotency_key(event: Event, submitter: str) -> IdempotencyKey:
    """The key of an `automation.requested` event. Raises Malformed or InvalidCorrelationId: such an event cannot become a run."""
    if event.type != REQUESTED:
        raise Malformed(f"Events of type {event.type[:100]!r} are not taken here.", hint=f"Send {REQUESTED}.")
    return IdempotencyKey(correlation_id(event), event.subject[:100], submitter, digest(event.data))


def signed_key(event: Event) -> IdempotencyKey:
    """The key that the API wrote into an event before it signed it."""
    return IdempotencyKey(event.correlation_id, event.subject, event.get("authid"), event.get("inputdigest"))


def is_correlation_id(text: str) -> bool:
    """Whether a run may have this correlation id."""
    return _CORRELATION_ID.fullmatch(text) is not None


def correlation_id(event: Event) -> str:
    """The event's correlation id. Raises InvalidCorrelationId."""
    value = event.correlation_id
    if not is_correlation_id(value):
        shown = value if len(value) <= 100 else f"{value[:40]}… ({len(value)} characters)"
        raise InvalidCorrelationId(f"{shown!r} is not a correlation id.")
    return value


def digest(value: Any) -> str:
    """SHA-256 of the RFC 8785 form, in hexadecimal. Raises Malformed for numbers that JSON cannot represent.

    RFC 8785 numbers are doubles. If an input has an integer beyond 2^53, such integers are written as text and every real text gets a
    mark. So 2^60 and 2^60 + 1 stay two different inputs, and no text equals a number.
    """
    return hashlib.sha256(_canonical(value)).hexdigest()


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BEYOND_16_BITS = re.compile("[\U00010000-\U0010ffff]")
_UNLIKE_JSON_DUMPS = re.compile(r"[0-9][.eE]|[0-9]{16}|NaN|Infinity|-0(?![0-9])")


def _canonical(value: Any) -> bytes:
    # Python's own encoder sorts keys as RFC 8785 does, by UTF-16 units, as long as no character needs two of them, and writes everything
    # but floating-point numbers and integers beyond 2^53 in the same way, ten times faster than the library.
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    # Most inputs have nothing that looks like such a number, even in their strings. Only the others pay for leaving the strings out.
    sorted_alike = written.isascii() or not _BEYOND_16_BITS.search(written)
    if sorted_alike and not (_UNLIKE_JSON_DUMPS.search(written) and _UNLIKE_JSON_DUMPS.search(_STRING.sub("", written))):
        return written.encode()
    try:
        return rfc8785.dumps(value)
    except rfc8785.IntegerDomainError:
        pass
    except rfc8785.FloatDomainError:
        raise _beyond_json() from None
    try:
        return b"by kind:" + rfc8785.dumps(_by_kind(value))
    except rfc8785.FloatDomainError:
        raise _beyond_json() from None


def _beyond_json() -> Malformed:
    return Malformed("A number of the input is beyond what JSON numbers can hold.", hint="Send such numbers as strings.")


def _by_kind(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _by_kind(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_by_kind(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
        return f"integer {value}"
    return f"text {value}" if isinstance(value, str) else value
