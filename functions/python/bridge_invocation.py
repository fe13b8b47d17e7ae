"""A running invocation as its function sees it: deadline, progress and cancel (standard library only; copy it into any function app).

    invocation = Invocation.of_headers(req.headers)         # or .of_event(attributes) of an automation.invoked event
    for done, row in enumerate(rows):
        invocation.checkpoint()                             # raises Stopped when canceled or out of time
        invocation.report(100 * done / len(rows), f"{done} rows")

The bridge is asked at most once a second and gets a report at most every half second, so both may be called as often as is convenient.
When the bridge cannot be reached, the work goes on, and the bridge is not called for ten seconds.
"""

from __future__ import annotations

import http.client
import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

ASK_EVERY = 1.0  #: seconds
REPORT_EVERY = 0.5  #: seconds
QUIET_AFTER_TROUBLE = 10.0  #: seconds
TIMEOUT = 2.0  #: seconds for connecting, and for each wait on the answer
_LARGEST_ANSWER = 64 * 1024  #: bytes

log = logging.getLogger("automations")


class Stopped(Exception):
    """The work is no longer wanted. `code` is Canceled or DeadlinePassed."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


class Invocation:
    """One invocation, for use in one thread. Without a `url` the bridge cannot be called, and only the deadline counts."""

    def __init__(
        self,
        url: str = "",
        token: str = "",
        deadline: datetime | None = None,
        *,
        trace_context: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.deadline = deadline
        self.trace_context = dict(trace_context or {})
        """The `traceparent` and `tracestate` of the call, for `extract` of `opentelemetry.propagate`; empty where there is no trace."""
        self._url = url
        self._token = token
        self._clock = clock
        self._canceled = False
        self._ask_at = self._report_at = self._quiet_until = float("-inf")

    @classmethod
    def of_event(cls, attributes: Mapping[str, Any]) -> Invocation:
        """The invocation that an `automation.invoked` event starts, from the event's context attributes."""
        texts = (attributes.get(name) or "" for name in ("invocationurl", "invocationtoken", "expirytime"))
        url, token, deadline = map(str, texts)
        return cls(url, token, _moment(deadline), trace_context=_trace_context(attributes))

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> Invocation:
        """The invocation that an HTTP call starts, from its headers; `headers` must ignore case, or have its names in lower case."""
        texts = (headers.get(name) or "" for name in ("x-invocation-url", "x-invocation-token", "x-deadline"))
        url, token, deadline = texts
        return cls(url, token, _moment(deadline), trace_context=_trace_context(headers))

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline, below zero once it has passed; None without one."""
        return None if self.deadline is None else (self.deadline - datetime.now(UTC)).total_seconds()

    def canceled(self) -> bool:
        """Whether this invocation was canceled. Once it was, it stays so."""
        if not self._canceled and self._clock() >= self._ask_at:
            self._ask_at = self._clock() + ASK_EVERY
            self._exchange("GET")
        return self._canceled

    def checkpoint(self) -> None:
        """Raise Stopped if the work is canceled or its deadline has passed."""
        left = self.seconds_left
        if left is not None and left <= 0:
            raise Stopped("DeadlinePassed", f"The deadline {self.deadline:%Y-%m-%dT%H:%M:%SZ} has passed; the work was stopped.")
        if self.canceled():
            raise Stopped("Canceled", "The work was stopped because its run was canceled.")

    def report(self, percent: float, message: str = "") -> None:
        """Report the progress in percent, 0 to 100. A report that comes too soon after the last one is left out."""
        if self._clock() < self._report_at:
            return
        self._report_at = self._clock() + REPORT_EVERY
        progress = {"percent": min(max(percent, 0.0), 100.0), "message": message}
        self._exchange("POST", {"status": "running", "progress": progress})

    def _exchange(self, method: str, data: Mapping[str, Any] | None = None) -> None:
        """Call the bridge. Each of its answers says whether the invocation is canceled."""
        if not self._url or self._clock() < self._quiet_until:
            return
        try:
            answer = _call(method, self._url, self._token, data)
        except (OSError, http.client.HTTPException, ValueError) as trouble:
            self._quiet_until = self._clock() + QUIET_AFTER_TROUBLE
            log.warning("The bridge could not be reached for progress and cancel, and the work goes on: %s", trouble)
            return
        self._canceled = self._canceled or answer.get("canceled") is True


def _call(method: str, url: str, token: str, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Make one request, without redirects or proxies: the token goes to the address that came with it and nowhere else."""
    address = urlsplit(url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if address.scheme not in kinds or not address.hostname:
        raise ValueError(f"{url[:100]!r} is not an http or https address")
    connection = kinds[address.scheme](address.hostname, address.port, timeout=TIMEOUT)
    try:
        body = None if data is None else json.dumps(data)
        headers = {"x-invocation-token": token, "content-type": "application/json", "accept": "application/json"}
        connection.request(method, address.path or "/", body, headers)
        answer = connection.getresponse()
        if answer.status not in (200, 202):
            raise ValueError(f"it answered {answer.status}")
        found = json.loads(answer.read(_LARGEST_ANSWER))
    finally:
        connection.close()
    return found if isinstance(found, dict) else {}


def _trace_context(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(given.get(name)) for name in ("traceparent", "tracestate") if given.get(name)}


def _moment(text: str) -> datetime | None:
    """The time in an RFC 3339 text with an offset; None for any other text."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None
