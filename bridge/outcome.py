"""What a function's answer means (contract 3.6): a closed set of outcomes, decided from the bytes alone."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from pydantic_core import from_json, to_json

from bridge.errors import CallFailed
from bridge.ports import Answer

RETRIABLE_STATUSES = frozenset({408, 429, *range(500, 600)})  #: the answers that a repeat can change
MAX_CODE = 100  #: characters
MAX_MESSAGE = 2_000  #: characters, of messages and hints
LONGEST_WAIT = timedelta(days=365)  #: a longer Retry-After counts as this one
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9._:-]+)""", re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function's output, a JSON value."""

    output: Any


@dataclass(frozen=True, slots=True)
class Accepted:
    """The function works on; the result follows as an event."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No output. `unknown`: no answer came and it may have run. `status`: of an HTTP answer; None if there was none."""

    code: str
    message: str
    hint: str = ""
    retriable: bool = False
    retry_after: timedelta | None = None
    unknown: bool = False
    status: int | None = None


Outcome = Succeeded | Accepted | Failed


def classify(answer: Answer | CallFailed, limit: int) -> Outcome:
    """Say what came of a call. An output may have `limit` bytes, counted as the JSON that is stored."""
    if isinstance(answer, CallFailed):
        return _no_answer(answer)
    if answer.status == HTTPStatus.ACCEPTED:
        return Accepted()
    if 200 <= answer.status < 300:
        return _output(answer, limit)
    return _refusal(answer)


#: By reason of `CallFailed`: the code of the run, whether a repeat can help, and what to do.
_UNANSWERED = {
    "ConnectionFailed": ("ConnectionFailed", True, "Does the function app run, and is its address right?"),
    "ConnectionLost": ("ConnectionLost", True, "Look into the log of the function app: it may have run."),
    "Timeout": (
        "Timeout",
        True,
        "Raise the app's timeout in the resiliency file, or let the function answer 202 and send its result as an event.",
    ),
    "AnswerTooLarge": ("OutputTooLarge", False, "Store it and return where it is."),
    "UnknownApp": ("UnknownApp", True, "Start the local functions host, or name the app under `function_apps` in the settings."),
}


def _no_answer(fault: CallFailed) -> Failed:
    code, retriable, hint = _UNANSWERED.get(fault.reason, (fault.reason, fault.may_have_run, ""))
    return Failed(code, _clean(fault.detail), fault.hint or hint, retriable, unknown=fault.may_have_run and retriable)


def _output(answer: Answer, limit: int) -> Outcome:
    if answer.status in (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT) or not answer.body:
        return Succeeded(None)
    try:
        output = _decoded(answer)
        size = _stored_size(output)
    except ValueError as fault:
        return Failed("BadAnswer", f"The function answered {answer.status}, but {_clean(str(fault))}.", _SEND, status=answer.status)
    if size > limit:
        message = f"The output has {size:,} bytes; {limit:,} are allowed."
        return Failed("OutputTooLarge", message, "Store it and return where it is.", status=answer.status)
    return Succeeded(output)


_SEND = "Answer with JSON (content type application/json) or text."


def _decoded(answer: Answer) -> Any:
    """The output as a JSON value. Raises ValueError with half a sentence."""
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
    """The media type in lower case and the charset; no header at all counts as text."""
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = _CHARSET.search(parameters)
    return kind.strip().lower(), charset[1] if charset and _is_text_codec(charset[1]) else "utf-8"


def _is_text_codec(name: str) -> bool:
    try:
        return codecs.lookup(name).name in _CHARSETS
    except (LookupError, ValueError):
        return False


#: Charsets that are taken at their word; Python's other codecs are no character sets, or cost more than they give.
_CHARSETS = frozenset(codecs.lookup(name).name for name in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "ascii", "latin-1", "cp1252"))


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _stored_size(output: Any) -> int:
    """The bytes of the JSON form. Raises ValueError for a number no double holds: 1e400 is read as infinity, which is no JSON."""
    stored = to_json(output)
    if b"Infinity" in stored:
        try:
            from_json(stored, allow_inf_nan=False)
        except ValueError:
            raise ValueError("with a number that is too large for JSON's readers; send it as a string") from None
    return len(stored)


def _refusal(answer: Answer) -> Failed:
    code, message, hint = _said(answer)
    usual_message, usual_hint = _usual(answer)
    return Failed(
        code=code or f"Http{answer.status}",
        message=message or usual_message,
        hint=hint or ("" if message else usual_hint),
        retriable=answer.status in RETRIABLE_STATUSES,
        retry_after=_retry_after(answer.headers),
        status=answer.status,
    )


def _said(answer: Answer) -> tuple[str, str, str]:
    """Code, message and hint out of the body: `{code, message, hint}`, the same under `error`, or problem+json (RFC 9457)."""
    kind, charset = _content_type(answer.headers)
    if not _is_json(kind):
        text = _clean(answer.body[: 4 * MAX_MESSAGE].decode(charset, "replace")) if kind == "text/plain" else ""
        return "", text, ""
    try:
        body = from_json(answer.body.removeprefix(_BOM), allow_inf_nan=False)
    except ValueError:
        return "", "", ""
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if not isinstance(body, dict):
        return "", "", ""
    kind_of_problem = "" if body.get("type") == "about:blank" else body.get("type")
    code = _first(body.get("code"), kind_of_problem, body.get("title"))
    message = _first(body.get("message"), body.get("detail"), body.get("title"))
    return _clean(code, MAX_CODE), _clean(message), _clean(_first(body.get("hint")))


def _first(*values: Any) -> str:
    """The first that is a string with something in it, or a number."""
    for value in values:
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    return ""


def _usual(answer: Answer) -> tuple[str, str]:
    """Message and hint for an answer that says nothing itself."""
    status = answer.status
    if 300 <= status < 400:
        message = f"The function answered {status}, a redirect to {_clean(answer.headers.get('location', 'nowhere'), 200)}."
        return message, "Redirects are not followed: correct the app's address or the target's path."
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "an unknown status"
    return f"The function answered {status} ({phrase}) and gave no message.", _HINTS.get(status, _HINTS.get(status // 100, ""))


_HINTS = {
    401: "Check the function key of the app in the settings.",
    403: "Check the function key of the app in the settings, and who the app lets in.",
    404: "Check the path of the target in the catalogue, and that this version of the app is deployed.",
    405: "Check the method of the target in the catalogue.",
    413: "Send less, or send where the input is.",
    429: "The app has more work than it can take; lower the target's concurrency.",
    503: "The app is starting, stopped or overloaded.",
    4: "The function refused the input; its log may say why.",
    5: "Look into the log of the function app.",
}


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """RFC 9110 10.2.3: seconds, or a date, which is taken against the answer's own `Date` so that no two clocks need to agree."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return timedelta(seconds=int(text)) if len(text) <= 7 else LONGEST_WAIT
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def _clean(text: str, most: int = MAX_MESSAGE) -> str:
    """One bounded line without control characters, so that no answer can forge log lines or terminal commands."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"
