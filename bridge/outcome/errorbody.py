"""Reads the error code, message and details from the body of a failed function's answer.

HTTP has no common format for errors. The tables below name the fields in which frameworks write code, message and details: problem+json
(RFC 9457), OAuth (RFC 6749 5.2), ASP.NET and its ValidationProblemDetails, FastAPI, Flask, Express, Spring, Rails, Django, GraphQL,
JSON:API, OData, the clouds' own APIs, Go's plain text, and HTML pages. Field names are compared without letter case, `_` and `-`.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import from_json

_MOST_DETAILS = 10  #: entries of a list of errors that are shown
_DEEPEST = 4  #: levels of lists and objects that are looked into
_LONGEST_RAW = 300  #: characters of a JSON body of unknown shape that are shown

#: The objects in which the error may stand, those before the body itself and those after it.
_BEFORE, _AFTER = ("error", "fault", "exception", "err"), ("detail", "data", "response", "result")
#: The fields of each value, the most telling first. A title and OAuth's `error` are messages only if nothing else is.
_MESSAGE = (
    *("exceptionmessage", "errordescription", "message", "msg", "errormessage", "errormsg", "errmsg", "usermessage", "developermessage"),
    *("localizedmessage", "faultstring", "detail", "description", "reason", "text", "title", "error", "exception", "statusmessage"),
    *("statusdescription", "statustext", "cause"),
)
_DETAILS = (
    *("errors", "modelstate", "details", "detail", "validationerrors", "fielderrors", "suberrors", "violations", "invalidparams"),
    *("issues", "messages", "fields", "failures"),
)
_CODE = ("code", "errorcode", "faultcode", "exceptiontype", "errortype", "type", "status", "reason", "exception", "name", "error", "title")
_HINT = ("hint",)
#: Of one entry in a list of errors: what is wrong, and where.
_SAID = ("message", "msg", "errormessage", "detail", "description", "title", "reason", "error", "text")
_WHERE = (
    *("pointer", "instancepath", "field", "path", "propertypath", "property", "propertyname", "param", "parameter", "loc"),
    *("target", "attribute", "name", "key", "location"),
)

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.:/#-]*")
#: What a field must look like to be a code; other fields are one in any form.
_CODE_FORMS = {
    "status": re.compile(r"[A-Z][A-Z0-9_]+"),
    "reason": _WORD,
    "error": _WORD,
    "exception": _WORD,
    "name": re.compile(r"\w*(?:Error|Exception)"),
    "title": re.compile(r".{1,60}(?<!\.)"),
}
#: Types of problems that say no more than the status.
_NO_TYPE = re.compile(r"about:blank|https?://(?:tools\.ietf\.org|datatracker\.ietf\.org|www\.rfc-editor\.org|httpstatuses\.(?:io|com))/.*")
_ELEMENT = re.compile(r"<(?:[\w.-]{1,60}:)?([\w.-]{1,60})(?:\s[^<>]*)?>([^<]*)</")
_CHALLENGE = re.compile(r'\b(error|error_description)="([^"]*)"')
_FRAME = re.compile(r"\s+at \S|\s+File \"|\s*goroutine \d+|\s+from \S+:\d+")
_TAG = re.compile(r"<[^<>]*>")

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The error in a body; fields that the body does not have are empty. `final` means that it has `retriable: false`."""

    code: str = ""
    message: str = ""
    hint: str = ""
    final: bool = False


def read(kind: str, text: str, status: int) -> ErrorBody:
    """Read the body of an answer with the media type `kind` (in lower case, empty if it has none) and this HTTP status.

    The time grows linearly with the length of the text. Nothing is cut or cleaned.
    """
    text = text.removeprefix("\ufeff").strip()
    if kind == "application/x-www-form-urlencoded":
        return _of_value(dict(parse_qsl(text[:10_000], max_num_fields=None)), status)
    if text[:1] in ("{", "[", '"'):
        value = _json(text)
        if value is not None:
            return _of_value(value, status)
    if text == "null":
        return ErrorBody()
    if text[:200].lower().startswith(("<!doctype html", "<html")) or "html" in kind:
        return ErrorBody(message=_page(text))
    if text.startswith("<"):
        return _of_value({name: html.unescape(found) for name, found in reversed(_ELEMENT.findall(text)) if found.strip()}, status)
    readable = kind in ("", "text/plain") or kind.startswith("text/") or text.isprintable()
    return ErrorBody(message=_without_stack(text) if readable and "\ufffd" not in text else "")


def read_challenge(header: str) -> ErrorBody:
    """Read the header `WWW-Authenticate`, in which an OAuth service explains why it refuses a token (RFC 6750 section 3)."""
    named = dict(_CHALLENGE.findall(header[:2_000]))
    return ErrorBody(named.get("error", ""), named.get("error_description", ""))


def _json(text: str) -> Any:
    """The JSON value, even of a text that was cut off; None if it is not JSON."""
    try:
        return from_json(text, allow_inf_nan=False, allow_partial="trailing-strings")
    except ValueError:
        return None


def _of_value(value: Any, status: int) -> ErrorBody:
    if not isinstance(value, dict):
        return ErrorBody(message=_joined(value) or _raw(value))
    body = _plain(value)
    places = list(_places(body))
    headline = next(_texts(places, _MESSAGE), "")
    details = next((found for place in places for name in _DETAILS if (found := _details(place.get(name)))), "")
    message = _composed(headline, details) or _joined(_only_lists(value)) or _raw(value)
    return ErrorBody(
        code=next(_codes(places, message, status), ""),
        message=message,
        hint=next(_texts(places, _HINT), ""),
        final=any(place.get("retriable") is False for place in places),
    )


def _without_stack(text: str) -> str:
    """The text without stack trace lines. In Python the exception is at the end of the trace, in other languages at the beginning."""
    lines = [line for line in text.splitlines() if line.strip()]
    if text.startswith("Traceback (most recent call last)"):
        return lines[-1]
    frames = next((number for number, line in enumerate(lines) if number and _FRAME.match(line)), len(lines))
    return "\n".join(lines[:frames])


def _places(body: Fields) -> Iterator[Fields]:
    """The objects that may contain the fields, in order of preference."""
    yield from (_plain(inner) for name in _BEFORE if isinstance(inner := body.get(name), dict))
    yield body
    yield from (_plain(inner) for name in _AFTER if isinstance(inner := body.get(name), dict))


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by their names without letter case, `_` and `-`. If two are the same, the first one counts."""
    fields: dict[str, Any] = {}
    for name, child in value.items():
        fields.setdefault(re.sub(r"[\W_]", "", name).lower(), child)
    return fields


def _texts(places: list[Fields], names: tuple[str, ...]) -> Iterator[str]:
    return (text for place in places for name in names if (text := _text(place.get(name))) and not text.isdecimal())


def _text(value: Any) -> str:
    """The text of a string, a number, a list of strings, or OData's `{lang, value}`; empty for everything else."""
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return "; ".join(value[:_MOST_DETAILS])
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _codes(places: list[Fields], message: str, status: int) -> Iterator[str]:
    """The candidates for the code, the most specific first. The HTTP status is not a code, nor is a text that is the whole message."""
    entries = [entry for place in places for entry in _entries(place)]
    for place in (*places, *entries):
        for name in _CODE:
            code = _text(place.get(name)) if not isinstance(place.get(name), list | dict) else ""
            form = _CODE_FORMS.get(name)
            plain = name in ("error", "reason") and code == message
            if code and code != str(status) and not _NO_TYPE.fullmatch(code) and not plain and (form is None or form.fullmatch(code)):
                yield code.rpartition("#")[2] if "://" not in code else code


def _entries(place: Fields) -> Iterator[Fields]:
    """The first entry of a list of errors, and its `extensions`, which contain the code in GraphQL."""
    found = place.get("errors")
    if isinstance(found, list) and found and isinstance(found[0], dict):
        entry = _plain(found[0])
        yield {"code": entry.get("code")}
        if isinstance(entry.get("extensions"), dict):
            yield {"code": entry["extensions"].get("code")}


def _composed(headline: str, details: str) -> str:
    if not headline or headline in details:
        return details
    return headline if not details or details in headline else f"{headline.rstrip('.: ')}: {details}"


def _details(value: Any) -> str:
    """The entries of a list or mapping of errors in one line. A text counts only if it is one line, because several are a stack trace."""
    if isinstance(value, str):
        return "" if "\n" in value.strip() else value.strip()
    return _entry(value, 0)


def _joined(value: Any, depth: int = 0) -> str:
    """The texts of a list, or of a mapping from places to texts, each with its place."""
    if depth > _DEEPEST:
        return ""
    if isinstance(value, list):
        parts = [part for each in value[: _MOST_DETAILS + 1] if (part := _entry(each, depth))]
    elif isinstance(value, dict):
        parts = [_placed(name, part) for name, each in list(value.items())[: _MOST_DETAILS + 1] if (part := _entry(each, depth))]
    else:
        return _text(value)
    return "; ".join([*parts[:_MOST_DETAILS], *(["and more"] if len(parts) > _MOST_DETAILS else [])])


def _entry(value: Any, depth: int) -> str:
    if not isinstance(value, dict):
        return _joined(value, depth + 1)
    fields = _plain(value)
    said = next(_texts([fields], _SAID), "")
    if not said:
        return _joined(value, depth + 1)
    places = [fields, _plain(fields["source"])] if isinstance(fields.get("source"), dict) else [fields]
    return _placed(next((where for place in places for name in _WHERE if (where := _where(place.get(name)))), ""), said)


def _where(value: Any) -> str:
    return ".".join(map(str, value)) if isinstance(value, list) else _text(value)


def _placed(where: str, said: str) -> str:
    return f"{where}: {said}" if where and where not in said else said


def _only_lists(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The body itself if it maps fields to lists of texts, as in Django."""
    lists = value and all(isinstance(each, list) and each and isinstance(each[0], str) for each in value.values())
    return value if lists else None


def _raw(value: Any) -> str:
    """The JSON of a body without known fields, if it has any content."""
    shown = json.dumps(value, ensure_ascii=False) if _has_content(value) else ""
    return shown if len(shown) <= _LONGEST_RAW else f"{shown[:_LONGEST_RAW]}…"


def _has_content(value: Any, depth: int = 0) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if children is None:
        return value is not None and value != ""
    return depth > _DEEPEST or any(_has_content(child, depth + 1) for child in children)


def _page(text: str) -> str:
    """The title of an HTML page, or else its first heading, with the first paragraph, which contains the description in Flask."""
    title = _inside(text, "title") or _inside(text, "h1")
    paragraph = _inside(text, "p")
    return _composed(title, paragraph if len(paragraph) <= _LONGEST_RAW else "") or paragraph or _without_tags(text)


def _inside(text: str, tag: str) -> str:
    """The text of the first element of this kind; empty if there is none."""
    opened = re.search(rf"<{tag}(?:\s[^<>]*)?>", text, re.IGNORECASE)
    closed = re.compile(rf"</{tag}", re.IGNORECASE).search(text, opened.end()) if opened else None
    return _without_tags(text[opened.end() : closed.start()]) if opened and closed else ""


def _without_tags(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())
