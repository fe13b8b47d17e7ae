"""Follows the work of a function that answered 202: where its status can be asked for, and what the status means.

`durable` is the HTTP API of Durable Functions. `location` is the asynchronous request-reply pattern: the address in `Location` answers 202
while the work goes on, then the result, or a redirect to it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote, urljoin, urlsplit

from pydantic_core import from_json, to_json

from bridge.errors import CallFailed
from bridge.outcome import Accepted, Failed, Outcome
from bridge.outcome.httpanswer import RETRIABLE_STATUSES, classify, refusal, retry_after
from bridge.ports import FunctionResponse
from bridge.redaction import MAX_MESSAGE

Follow = Literal["event", "durable", "location", "none"]

SHORTEST, USUAL, LONGEST = timedelta(seconds=1), timedelta(seconds=2), timedelta(minutes=1)  #: the pause before the next look
_WEBHOOKS = "/runtime/webhooks/durabletask/"
_REDIRECTS = (301, 302, 303, 307, 308)
_GOES_ON = frozenset({"pending", "running", "suspended", "continuedasnew"})


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The work goes on: ask again after the pause."""

    pause: timedelta


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The answer is at another address, which can be asked at once."""

    address: str


def accepted(answer: FunctionResponse, follow: Follow, limit: int) -> Outcome:
    """The outcome of a 202. `limit` is the largest output in bytes."""
    if follow == "event":
        return Accepted()
    body = _json(answer)
    if follow == "none":
        shown = _without_addresses(body)
        return classify(replace(answer, status=200) if shown is body else _final(shown, answer), limit)
    location = answer.headers.get("location", "")
    links = body if follow == "durable" and isinstance(body, dict) else {}
    address = _text(links.get("statusQueryGetUri")) or location
    if not address:
        wanted = "statusQueryGetUri in the body, or a Location" if follow == "durable" else "a Location"
        hint = f"Answer with {wanted}, or correct `follow` in the catalogue."
        return Failed("NoStatusAddress", "The function answered 202, but not where its status can be asked.", hint, status=answer.status)
    terminate = _text(links.get("terminatePostUri")) or (_terminate(address) if follow == "durable" else "")
    return Accepted(address, terminate)


def status(answer: FunctionResponse | CallFailed, follow: Follow, limit: int) -> Outcome | GoesOn | Elsewhere:
    """The meaning of an answer from a status address."""
    if isinstance(answer, CallFailed):
        return GoesOn(USUAL)
    if answer.status == HTTPStatus.ACCEPTED or answer.status in RETRIABLE_STATUSES:
        return (_durable(answer, limit) if follow == "durable" else None) or GoesOn(_pause(answer))
    if answer.status in _REDIRECTS and "location" in answer.headers:
        return Elsewhere(answer.headers["location"])
    if follow == "durable":
        return _durable(answer, limit) or _no_status(answer)
    return classify(answer, limit) if answer.status < 300 else _refused(answer)


def _no_status(answer: FunctionResponse) -> Failed:
    """The failure for an answer of Durable Functions without `runtimeStatus`."""
    if answer.status in (404, 410):
        message = "The orchestration is not known any more: its history was purged, or its task hub has changed."
        return Failed("InstanceNotFound", message, status=answer.status)
    if answer.status < 300:
        message = f"The status address answered {answer.status} without a runtimeStatus."
        return Failed("BadStatus", message, "Is `follow: durable` right?", status=answer.status)
    return _refused(answer)


def _refused(answer: FunctionResponse) -> Failed:
    refused = replace(refusal(answer), retriable=False)
    return replace(refused, hint=_KEYS) if answer.status in (401, 403) else refused


_KEYS = "The status address wants another key than it was asked with."


def _durable(answer: FunctionResponse, limit: int) -> Outcome | GoesOn | None:
    """The meaning of `runtimeStatus`, which decides whatever the status of the answer; None if there is none."""
    body = _json(answer)
    state = _text(body.get("runtimeStatus")).lower() if isinstance(body, dict) else ""
    if not isinstance(body, dict) or not state:
        return None
    if state in _GOES_ON:
        return GoesOn(_pause(answer))
    output = body.get("output")
    if state == "completed":
        return classify(_final(output, answer), limit)
    said = output if isinstance(output, str) else "" if output is None else to_json(output).decode()
    if state == "failed":
        return Failed("OrchestrationFailed", said[:MAX_MESSAGE] or "The orchestration failed and gave no message.", _LOG)
    return Failed(
        "OrchestrationTerminated",
        f"The orchestration was terminated: {said[:MAX_MESSAGE]}" if said else "The orchestration was terminated.",
    )


_LOG = "Look into the log of the function app."


def _final(value: Any, answer: FunctionResponse) -> FunctionResponse:
    return FunctionResponse(200, {**answer.headers, "content-type": "application/json"}, to_json(value))


def _without_addresses(body: Any) -> Any:
    """The body without Durable's management addresses, whose code gives access to every instance of the app.

    Returns the same object if it has none.
    """
    if not isinstance(body, dict) or not any(_manages(value) for value in body.values()):
        return body
    return {name: value for name, value in body.items() if not _manages(value)}


def _manages(value: Any) -> bool:
    return isinstance(value, str) and _WEBHOOKS in value


def _terminate(address: str) -> str:
    """The address that terminates the orchestration of a status address; empty if it is not Durable's."""
    before, _, query = address.partition("?")
    return f"{before}/terminate?{query}" if f"{_WEBHOOKS}instances/" in before else ""


def _pause(answer: FunctionResponse) -> timedelta:
    asked = retry_after(answer.headers)
    return USUAL if asked is None else min(max(asked, SHORTEST), LONGEST)


def _json(answer: FunctionResponse) -> Any:
    try:
        return from_json(answer.body, allow_inf_nan=False)
    except ValueError:
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Place:
    """An address to ask. If `origin` is empty, it is at the app's own address."""

    origin: str
    path: str


def place(address: str, asked: Place, origins: Collection[str]) -> Place:
    """Where to ask for an address that `asked` returned: its path and query at the app's own address.

    If its origin is one of `origins`, it is asked there. Characters that are not allowed in a request line are percent-encoded.
    """
    # Durable Functions does not encode the ids of instances, and an address has no fragment.
    whole = address.replace("#", "%23")
    try:
        parts = urlsplit(urljoin(asked.path, whole))
    except ValueError:
        parts = urlsplit("/")
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    origin = f"{parts.scheme}://{parts.netloc}".lower().removesuffix(usual) if parts.netloc and parts.scheme else ""
    target = quote(parts.path or "/", safe=_IN_PATH) + (f"?{quote(parts.query, safe=_IN_PATH + '?')}" if parts.query else "")
    if origin:
        return Place(origin if origin in origins else "", target)
    return Place(asked.origin, target)


_IN_PATH = "/%:@!$&'()*+,;=~-._"
