"""Classifies the answer of an HTTP call, or the lack of one."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from msgspec import Raw
from pydantic_core import from_json, to_json

from bridge.errors import CallFailed
from bridge.outcome import MAX_CODE, STORE_IT, Accepted, Failed, Outcome, Succeeded, errorbody, too_large
from bridge.ports import FunctionResponse
from bridge.redaction import MAX_MESSAGE

RETRIABLE_STATUSES = frozenset({408, 429, *range(500, 600)})  #: the statuses after which a retry may succeed
LONGEST_WAIT = timedelta(days=365)  #: a longer Retry-After counts as this one
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9._:-]+)""", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_BOM = b"\xef\xbb\xbf"


def classify(answer: FunctionResponse | CallFailed, limit: int) -> Outcome:
    """Classify the answer of a call, or the lack of one. `limit` is the largest output in bytes of the JSON that is stored."""
    if isinstance(answer, CallFailed):
        return _no_answer(answer)
    if answer.status == HTTPStatus.ACCEPTED:
        return Accepted()
    if 200 <= answer.status < 300:
        return _output(answer, limit)
    return refusal(answer)


#: By reason of `CallFailed`: the code of the run's error, whether a retry may help, and the hint.
_UNANSWERED = {
    "ConnectionFailed": ("ConnectionFailed", True, "Does the function app run, and is its address right?"),
    "ConnectionLost": ("ConnectionLost", True, "Look into the log of the function app: it may have run."),
    "Timeout": (
        "Timeout",
        True,
        "Raise the app's timeout in the resiliency file, or let the function answer 202 and send its result as an event.",
    ),
    "AnswerTooLarge": ("OutputTooLarge", False, STORE_IT),
    "UnknownApp": ("UnknownApp", True, "Start the local functions host, or name the app under `function_apps` in the settings."),
}


def _no_answer(fault: CallFailed) -> Failed:
    code, retriable, hint = _UNANSWERED.get(fault.reason, (fault.reason, fault.may_have_run, ""))
    return Failed(code, _clean(fault.detail), fault.hint or hint, retriable, unknown=fault.may_have_run and retriable)


def _output(answer: FunctionResponse, limit: int) -> Outcome:
    if answer.status in (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT) or not answer.body:
        return Succeeded.of(None)
    try:
        output = _stored(_decoded(answer))
    except ValueError as fault:
        return Failed("BadAnswer", f"The function answered {answer.status}, but {_clean(str(fault))}.", _SEND, status=answer.status)
    if len(output) > limit:
        return too_large(len(output), limit, answer.status)
    return Succeeded(Raw(output))


_SEND = "Answer with JSON (content type application/json) or text."


def _decoded(answer: FunctionResponse) -> Any:
    """The output as a JSON value. Raises ValueError with the second half of a sentence about the answer."""
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise ValueError(f"with content encoding {coding[:50]!r}, which was not asked for")
    kind, charset = _content_type(answer.headers)
    if _is_json(kind):
        try:
            return from_json(answer.body.removeprefix(_BOM), allow_inf_nan=False)
        except ValueError as fault:
            raise ValueError(f"with content type {kind} and a body that is not JSON: {fault}") from None
    if kind and not kind.startswith("text/") and kind != "application/xml" and not kind.endswith("+xml"):
        raise ValueError(f"with content type {kind[:100]}, which is neither JSON nor text")
    try:
        return answer.body.removeprefix(_BOM).decode(charset)
    except (UnicodeDecodeError, LookupError):
        raise ValueError(f"with a body that is not text in {charset[:50]}") from None


def _content_type(headers: Mapping[str, str]) -> tuple[str, str]:
    """The media type in lower case, and the charset. A missing header counts as text."""
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = _CHARSET.search(parameters)
    return kind.strip().lower(), charset[1] if charset and _is_text_codec(charset[1]) else "utf-8"


def _is_text_codec(name: str) -> bool:
    try:
        return codecs.lookup(name).name in _CHARSETS
    except (LookupError, ValueError):
        return False


#: Charsets that are accepted. Python's other codecs are no character sets, or are too expensive for foreign data.
_CHARSETS = frozenset(codecs.lookup(name).name for name in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "ascii", "latin-1", "cp1252"))


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _stored(output: Any) -> bytes:
    """The JSON form that is stored. Raises ValueError for a number too large for a double, such as 1e400, which JSON cannot express."""
    stored = to_json(output)
    if b"Infinity" in stored:
        try:
            from_json(stored, allow_inf_nan=False)
        except ValueError:
            raise ValueError("with a number that is too large for JSON's readers; send it as a string") from None
    return stored


def refusal(answer: FunctionResponse) -> Failed:
    """The failure that the answer of a function reports, whatever its status."""
    kind, charset = _content_type(answer.headers)
    found = errorbody.read(kind, answer.body.removeprefix(_BOM).decode(charset, "replace"), answer.status)
    challenge = answer.headers.get("www-authenticate", "")
    if challenge and not found.message:
        found = errorbody.read_challenge(challenge)
    code, message, hint = _clean(found.code, MAX_CODE), _clean(found.message), _clean(found.hint)
    usual_message, usual_hint = _usual(answer)
    return Failed(
        code=code or f"Http{answer.status}",
        message=message or usual_message,
        hint=hint or (usual_hint if _says_only_the_status(message, answer.status) else ""),
        retriable=answer.status in RETRIABLE_STATUSES and not found.final,
        retry_after=retry_after(answer.headers),
        status=answer.status,
    )


def _says_only_the_status(message: str, status: int) -> bool:
    """Whether the message only repeats the status, such as "502 Bad Gateway"."""
    return set(_WORD.findall(message.lower())) <= {str(status), "http", "error", *_phrase(status).lower().split()}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "an unknown status"


def _usual(answer: FunctionResponse) -> tuple[str, str]:
    """Message and hint for an answer that contains none."""
    status = answer.status
    if 300 <= status < 400:
        message = f"The function answered {status}, a redirect to {_clean(answer.headers.get('location', 'nowhere'), 200)}."
        return message, "Redirects are not followed: correct the app's address or the target's path."
    return f"The function answered {status} ({_phrase(status)}) and gave no message.", _HINTS.get(status, _HINTS.get(status // 100, ""))


_HINTS = {
    401: "Check the function key of the app in the settings.",
    403: "Check the function key of the app in the settings, and who the app lets in.",
    404: "Check the path of the target in the catalogue, and that this version of the app is deployed.",
    405: "Check the method of the target in the catalogue.",
    413: "Send a smaller input, or a reference to where it is stored.",
    429: "The app has more work than it can take; lower the target's concurrency.",
    503: "The app is starting, stopped or overloaded.",
    4: "The function refused the input; its log may say why.",
    5: "Look into the log of the function app.",
}


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The Retry-After of an answer (RFC 9110 10.2.3): seconds, or a date.

    A date is compared with the answer's own `Date`, so that the clocks need not agree.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return timedelta(seconds=int(text)) if len(text) <= 7 else LONGEST_WAIT
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def _clean(text: str, most: int = MAX_MESSAGE) -> str:
    """One line of limited length without control characters, so that no answer can forge log lines or manipulate a terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"
