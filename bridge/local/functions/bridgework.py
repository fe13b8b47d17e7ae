"""Work that the bridge sent, told from everything else, and what this host says of it beyond what Azure would.

A call is work of the bridge if it has `x-invocation-id` and the app's key, a message if it has an invocation id; and in both the invocation
URL must lie below the `public_url` that the bridge gave this host at its start. So no other address is ever called, and whoever
else calls a function gets Azure's answers to the letter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bridge.local.functions.worker import InvocationResponse

DEADLINE_PASSED = "DeadlinePassed"
#: What the bridge is told of a function that returned nothing after the bridge had canceled it.
RETURNED_CANCELED = {"code": "Canceled", "message": "The function returned without a result once its run was canceled.", "hint": ""}
_INVOKED = b"automation.invoked"
_PATH = re.compile(r"[A-Za-z0-9._:@~/-]+")  #: what an invocation URL has below the public URL
_LONGEST_TEXT, _LONGEST_CODE = 2_000, 100  #: characters of an exception's text and name that the bridge keeps


@dataclass(frozen=True, slots=True)
class BridgeWork:
    """The invocation that a call or a message is: its id, where to report, and the time after which it may not start.

    `is_message`: it came as a message, so that no answer says how it ended. `settles`: the invocation ends when this host says that it
    completes the message, because its function answers nothing. `errors_fail`: error records that the function wrote end it as failed.
    """

    invocation_id: str
    url: str
    token: str = field(repr=False)
    deadline: datetime | None
    is_message: bool = False
    settles: bool = False
    errors_fail: bool = False

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline, never below zero; None without one."""
        return None if self.deadline is None else max((self.deadline - datetime.now(UTC)).total_seconds(), 0.0)

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.seconds_left == 0


def of_call(headers: Mapping[str, str], public_url: str) -> BridgeWork | None:
    """The work that a call is, which has shown the app's key; None for an ordinary one. Names of headers are in lower case."""
    if not public_url or "x-invocation-id" not in headers:
        return None
    names = ("invocation-id", "invocation-url", "invocation-token", "deadline")
    return _work(public_url, [headers.get(f"x-{name}", "") for name in names])


def of_message(properties: Mapping[str, Any], body: bytes, public_url: str) -> BridgeWork | None:
    """The work that a message is, by its application properties or as an `automation.invoked` event; None for an ordinary one."""
    if not public_url:
        return None
    application = {str(name).lower(): value for name, value in (properties.get("applicationProperties") or {}).items()}
    if not application.get("invocationurl"):
        application = {**application, **_of_event(body)}
    names = ("invocationid", "invocationurl", "invocationtoken", "deadline")
    work = _work(public_url, [str(application.get(name) or "") for name in names])
    settles, errors_fail = application.get("completes") == "settled", application.get("errors") == "fail"
    return work and replace(work, is_message=True, settles=settles, errors_fail=errors_fail)


def _of_event(body: bytes) -> dict[str, Any]:
    """The attributes of an event in the structured mode of CloudEvents, under the names of the application properties."""
    if _INVOKED not in body:  # most messages that are no work need not be parsed
        return {}
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(event, dict) or event.get("type") != _INVOKED.decode():
        return {}
    return {**event, "invocationid": event.get("id"), "deadline": event.get("expirytime")}


def _work(public_url: str, named: Sequence[str]) -> BridgeWork | None:
    invocation_id, url, token, deadline = named
    if not (invocation_id and token and token.isascii() and _lies_below(url, public_url)):
        return None
    return BridgeWork(invocation_id, url, token, _moment(deadline))


def _lies_below(url: str, public_url: str) -> bool:
    """Whether the URL is one of the bridge's own: the public URL with a plain path after it, in which no part leads upwards."""
    base = f"{public_url.rstrip('/')}/"
    path = url.removeprefix(base)
    return url.startswith(base) and bool(_PATH.fullmatch(path)) and not {".", ".."} & set(path.split("/"))


def _moment(text: str) -> datetime | None:
    """The time in an RFC 3339 text with an offset; None for any other text."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def error_of(response: InvocationResponse, log_name: str) -> dict[str, Any]:
    """What the bridge is told of an invocation that did not succeed: `{code, message, hint, retriable?}`."""
    if response.late:
        return {"code": DEADLINE_PASSED, "message": "The function was not called: its deadline passed before it could start.", "hint": ""}
    final = {"retriable": False} if response.final else {}
    hint = _short(response.hint, _LONGEST_TEXT) or f"{log_name} has the stack trace, under invocation {response.invocation}."
    return {"code": _short(response.code, _LONGEST_CODE), "message": _short(response.text, _LONGEST_TEXT), "hint": hint, **final}


def _short(text: str, most: int) -> str:
    return text[:most].encode("utf-8", "replace").decode()
