"""Triggers as values with their kind, the way Azure's host sends them to workers (GrpcMessageConversionExtensions.cs).

Python's worker takes a simpler form, because Microsoft's runtime for Python makes the same of it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bridge.local.functions import bodymerge, requestheaders
from bridge.local.functions.bodymerge import Value
from bridge.local.functions.httpmessage import HttpRequest
from bridge.local.functions.invocations import InvocationRequest

_BINARY = ("application/octet-stream", "multipart/")


def http(  # noqa: PLR0913 - what a request is made of
    function: str, parameter: str, route: Mapping[str, str | None], request: HttpRequest, body: bytes, *, with_metadata: bool
) -> InvocationRequest:
    """The invocation for a request to an HTTP function. A body of unknown length (chunked) is handed over too, which Azure does not do."""
    headers = request.headers
    parameters = {name: text for name, text in route.items() if text is not None}
    content = body_of(headers.get("content-type", ""), body) if body else None
    value = {
        "method": request.method,
        "url": request.url,
        "headers": headers,
        "params": parameters,
        "query": _query(request.query),
        "body": content,
    }
    metadata = _http_metadata(function, parameter, route, request, body if content else b"") if with_metadata else {}
    # The trace context stays empty, as it does in Azure without Application Insights; a script finds traceparent among the headers.
    return InvocationRequest(parameter, {"http": value}, metadata, on_behalf_of=headers.get("x-invocation-id", ""))


def _query(query: Mapping[str, str]) -> dict[str, str]:
    """Without empty values; a name that came in several forms has all its values under the first one."""
    found: dict[str, tuple[str, str]] = {}
    for name, text in query.items():
        if text:
            first, earlier = found.get(name.lower(), (name, ""))
            found[name.lower()] = (first, f"{earlier},{text}" if earlier else text)
    return dict(found.values())


def body_of(content_type: str, body: bytes) -> Value:
    """The body as text, or as bytes where its type says that it is none."""
    if content_type.lower().startswith(_BINARY):
        return {"bytes": b64encode(body).decode()}
    return {"string": body.decode("utf-8-sig", "replace")}


def _http_metadata(function: str, parameter: str, route: Mapping[str, str | None], request: HttpRequest, body: bytes) -> dict[str, Any]:
    """The metadata of a request. See `bodymerge.of_request` and `bodymerge.with_request`."""
    query = _last_ones(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    headers = {name: ",".join(texts) for name, texts in requestheaders.named(request.sent_headers).items()}
    merged: dict[str, Any] = {"Headers": {"json": json.dumps(headers)}, "Query": {"json": json.dumps(query)}}
    merged = bodymerge.over(merged, bodymerge.of_request(route, query, body.decode("utf-8-sig", "replace")))
    return bodymerge.with_request(function, parameter, merged)


def _last_ones(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The last value of each name, under the form in which the name came first."""
    found: dict[str, tuple[str, str]] = {}
    for name, text in pairs:
        first, _ = found.get(name.lower(), (name, ""))
        found[name.lower()] = (first, text)
    return dict(found.values())
