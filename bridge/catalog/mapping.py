"""Builds the request to an HTTP target from the input: its path, query, headers and body."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, unquote, urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator
from pydantic_core import to_json

from bridge.errors import Violation

MOST_MAPPED = 100  #: parameters, fields of the query or headers of one target
MAX_URL = 8_000  #: bytes of a path with its query: what the web server of Azure Functions reads of a request line
MAX_HEADER = 8_000  #: characters of one header
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")

#: Headers that the connection, the content or the bridge itself sets.
_RESERVED = frozenset(
    (
        *("connection", "content-length", "content-type", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "traceparent", "tracestate", "x-functions-key", "x-correlation-id", "x-invocation-id"),
        *("x-invocation-token", "x-invocation-url", "x-attempt", "x-deadline"),
    )
)
_SLASHES = re.compile(r"[/\\]")
_TEXT = re.compile(r"text/[a-z0-9.+-]+|application/(?:[a-z0-9.-]+\+)?xml")
_JSON = re.compile(r"application/(?:[a-z0-9.-]+\+)?json")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")

Pointer = Annotated[str, Field(pattern=r"^(/([^/~]|~[01])*)+$", max_length=500)]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr


class FixedValue(BaseModel):
    """A constant, which is the same for every input."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    const: Scalar


Source = Pointer | FixedValue


def _decoded(path: str) -> str:
    """The path after all hosts and proxies on the way have decoded it, each once."""
    while (once := unquote(path)) != path:
        path = once
    return path


def _of_the_app(path: str) -> str:
    decoded = _decoded(path)
    if path.startswith("//") or {".", ".."} & set(_SLASHES.split(decoded)):
        raise ValueError(
            "must be the path of one function: no // at its start, and no part that is . or .., however its slashes are encoded"
        )
    if "{" in PLACEHOLDER.sub("", path) or "}" in PLACEHOLDER.sub("", path):
        raise ValueError("must have a name of letters, digits and _ between { and }")
    return path


def _header_names(headers: Mapping[str, Source]) -> Mapping[str, Source]:
    for name in headers:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", name):
            raise ValueError(f"{name[:100]!r} is not the name of a header")
        if name.lower() in _RESERVED:
            raise ValueError(f"{name} is set by the bridge or the connection; remove it (the content type is contentType)")
    return headers


def _content_type(text: str) -> str:
    kind, _, parameter = text.lower().replace(" ", "").partition(";")
    if not (kind == FORM or _TEXT.fullmatch(kind) or _JSON.fullmatch(kind)) or parameter not in ("", "charset=utf-8"):
        raise ValueError(f"must be JSON, a form ({FORM}), or text such as text/plain, in UTF-8")
    return text


Mapped = Annotated[dict[str, Source], Field(max_length=MOST_MAPPED)]


class HttpRequestMapping(BaseModel):
    """Where the parts of the request come from: JSON pointers (RFC 6901) into the input, or constants.

    Without any of them the whole input is the body. With the method GET there is then no body.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/{}-]*$", max_length=500), AfterValidator(_of_the_app)]
    parameters: Mapped | None = None
    query: Mapped | None = None
    headers: Annotated[Mapped, AfterValidator(_header_names)] | None = None
    body: Literal["input", "none"] | Pointer | None = None
    content_type: Annotated[str, Field(max_length=200), AfterValidator(_content_type)] | None = Field(None, alias="contentType")
    allow_secret_in_url: StrictBool | None = Field(None, alias="allowSecretInUrl")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names, mapped = set(PLACEHOLDER.findall(self.path)), set(self.parameters or ())
        if names - mapped:
            raise ValueError(f"the path names {', '.join(sorted(names - mapped))}; say under parameters where it comes from")
        if mapped - names:
            raise ValueError(f"parameters has {', '.join(sorted(mapped - names))}, which the path does not name as {{…}}; remove it")
        if self.method == "GET" and self.body not in (None, "none"):
            raise ValueError("a GET has no body; use query, or another method")
        if self.content_type and not self.has_body:
            raise ValueError("contentType is that of a body, and there is none; remove it")
        return self

    @cached_property
    def has_body(self) -> bool:
        """Whether the request has a body."""
        return self.body != "none" and (self.method != "GET" or self.body is not None)

    @cached_property
    def passes_input_on(self) -> bool:
        """Whether the request consists of the path and the whole input as JSON, so that no value of the input has to be read."""
        mapped = self.parameters or self.query or self.headers
        return not mapped and self.body in (None, "input") and (not self.has_body or self.form == "json")

    @cached_property
    def form(self) -> Literal["json", "form", "text"]:
        """The format of the body."""
        kind = (self.content_type or JSON).lower().partition(";")[0].strip()
        return "form" if kind == FORM else "json" if _JSON.fullmatch(kind) else "text"


@dataclass(frozen=True, slots=True)
class MappedRequest:
    """The request that is sent. The path includes the query."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Unmappable(ValueError):
    """A value of the input that is not allowed where the mapping puts it. `pointer` names the value."""

    def __init__(self, pointer: str, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.violation = Violation(pointer=pointer, rule=rule, detail=detail)


def violation(mapping: HttpRequestMapping, value: Any) -> Violation | None:
    """The first value of an input that is not allowed where the mapping puts it: in the path, in a header or in the body."""
    try:
        request(mapping, value)
    except Unmappable as fault:
        return fault.violation
    return None


def request(mapping: HttpRequestMapping, value: Any) -> MappedRequest:
    """The request for an input. Raises Unmappable."""
    path = PLACEHOLDER.sub(lambda found: _segment((mapping.parameters or {})[found[1]], value), mapping.path)
    fields = [(name, text) for name, source in (mapping.query or {}).items() for text in _texts(source, value, "query")]
    url = path + ("?" + urlencode(fields, quote_via=quote) if fields else "")
    if len(url) > MAX_URL:
        raise Unmappable("", "url", f"the URL would have {len(url):,} bytes; {MAX_URL:,} are allowed, so send less or use a body")
    headers = {name: _header(source, value) for name, source in (mapping.headers or {}).items()}
    headers = {name: text for name, text in headers.items() if text}
    if not mapping.has_body:
        return MappedRequest(url, headers, b"")
    return MappedRequest(url, {**headers, "content-type": mapping.content_type or JSON}, _body(mapping, value))


def find(value: Any, pointer: str) -> list[Any]:
    """The value at a JSON pointer, as a list of one; an empty list if there is none."""
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", key) and int(key) < len(value):
            value = value[int(key)]
        else:
            return []
    return [value]


def _segment(source: Source, value: Any) -> str:
    pointer, texts = _name(source), _texts(source, value, "path")
    if len(texts) != 1 or not texts[0]:
        raise Unmappable(pointer, "path", f"{pointer} is part of the path, so it needs a value that is one text or number")
    decoded = _decoded(texts[0])
    if "/" in decoded or "\\" in decoded or decoded in (".", ".."):
        raise Unmappable(pointer, "path", f"{pointer} is one part of the path, so it may neither be . or .. nor contain / or \\")
    return quote(texts[0], safe="")


def _header(source: Source, value: Any) -> str:
    pointer, text = _name(source), ", ".join(_texts(source, value, "header"))
    if text and (len(text) > MAX_HEADER or not _HEADER_VALUE.fullmatch(text)):
        rule = f"it may have {MAX_HEADER:,} characters of ASCII, no line break, and no space at its ends"
        raise Unmappable(pointer, "header", f"{pointer} cannot be the value of a header: {rule}")
    return text


def _body(mapping: HttpRequestMapping, value: Any) -> bytes:
    pointer = mapping.body if mapping.body not in (None, "input") else ""
    found = find(value, pointer or "")
    if not found:
        return b"" if mapping.form != "json" else b"null"
    if mapping.form == "json":
        return to_json(found[0])
    if mapping.form == "text":
        return "".join(_scalars(found[0], pointer or "", "body")).encode()
    if not isinstance(found[0], dict):
        raise Unmappable(pointer or "", "body", f"{pointer or 'the input'} is sent as a form, so it must be an object")
    return urlencode(
        [(name, text) for name, each in found[0].items() for text in _scalars(each, f"{pointer or ''}/{name}", "body")]
    ).encode()


def _texts(source: Source, value: Any, place: str) -> list[str]:
    """The texts of a source: none if the field is missing or null, several if it is an array."""
    if isinstance(source, FixedValue):
        return [_text(source.const)]
    return [text for found in find(value, source) for text in _scalars(found, source, place)]


def _scalars(found: Any, pointer: str, place: str) -> list[str]:
    values = [] if found is None else found if isinstance(found, list) else [found]
    if any(isinstance(each, dict | list) for each in values):
        raise Unmappable(
            pointer, place, f"{pointer or 'the input'} is sent in the {place}, so it must be a text, a number or a list of them"
        )
    return [_text(each) for each in values if each is not None]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _name(source: Source) -> str:
    return source if isinstance(source, str) else f"the constant {source.const!r}"


def sources(mapping: HttpRequestMapping) -> Iterator[tuple[str, str, str]]:
    """Each pointer of the mapping: its place in the mapping, the part of the request that it fills, and the pointer."""
    for kind, mapped in (("parameters", mapping.parameters), ("query", mapping.query), ("headers", mapping.headers)):
        yield from ((f"{kind}.{name}", kind, source) for name, source in (mapped or {}).items() if isinstance(source, str))
    if mapping.body not in (None, "input", "none"):
        yield "body", "body", str(mapping.body)
