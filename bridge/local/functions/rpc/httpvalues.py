"""HTTP requests and responses as RpcHttp, which the built-in HTTP model of .NET takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from bridge.local.functions import bodymerge, handlervalues, httpoutput, newtonsoftwriter, requestheaders, typeddata
from bridge.local.functions.bodymerge import Value
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.httpstream import MOST_WAITING
from bridge.local.functions.invocations import InvocationRequest
from bridge.local.functions.rpc import returnedvalues
from bridge.local.functions.worker import InvocationResponse

_KEY_CLAIM = "http://schemas.microsoft.com/2017/07/functions/claims/"
_BYTES, _NULLABLE = "RawHttpBodyBytes", "UseNullableValueDictionaryForHttp"
_ROUTE, _NO_EMPTY_HEADERS = "RequiresRouteParameters", "IgnoreEmptyValuedRpcHttpHeaders"
_SAME_SITE = ("", "lax", "strict", "none")  #: by the number in RpcHttpCookie


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A request to an HTTP function, with the values of its route that are set."""

    request: HttpRequest
    route: Mapping[str, str]
    body: bytes
    key: tuple[str, str] | None  #: auth level and name of the key that it shows


async def known_body(request: HttpRequest, body: bytes) -> bytes:
    """The body as far as metadata is made of it: of a request that is passed on only one that is short, because the others do not wait.

    Raises StreamBroken if the caller has gone.
    """
    length = request.headers.get("content-length", "")
    short = request.pieces is not None and length.isdecimal() and int(length) <= MOST_WAITING
    return await request.pieces.looked_at() if request.pieces is not None and short else body


def invocation(  # noqa: PLR0913, PLR0917 - what a request is made of
    function: str,
    parameter: str,
    route: Mapping[str, str | None],
    request: HttpRequest,
    body: bytes,
    key: tuple[str, str] | None,
) -> InvocationRequest:
    """The invocation for a request. Of equal names the route's wins, then the query's last one, then the body's property."""
    call = HttpCall(request, {name: text for name, text in route.items() if text is not None}, body, key)
    given = bodymerge.with_request(function, parameter, metadata(route, request, body))
    return InvocationRequest(parameter, {"call": call}, given, on_behalf_of=request.headers.get("x-invocation-id", ""))


def metadata(route: Mapping[str, str | None], request: HttpRequest, body: bytes) -> dict[str, Value]:
    """What a request tells by name, with its headers and its query, unless it has told something of those names."""
    last = request.target.last if request.target is not None else {}
    found = bodymerge.of_request(route, last, body.decode("utf-8-sig", "replace"))
    known = {name.lower() for name in found}
    if "headers" not in known:
        headers = requestheaders.named(request.sent_headers)
        found["Headers"] = {"json": newtonsoftwriter.compact({name: ",".join(texts) for name, texts in headers.items()})}
    if "query" not in known:
        found["Query"] = {"json": newtonsoftwriter.compact(dict(last))}
    return found


def fill(http: Any, call: HttpCall, knows: frozenset[str]) -> None:
    """Put a request into RpcHttp. For an app that gets the requests themselves it has the values of the route, if the worker wants them.

    A worker that does not know the nullable maps gets the older ones, with a query without empty values, and texts as text if it does not
    take bytes.
    """
    http.SetInParent()
    request = call.request
    if request.pieces is not None:
        if _ROUTE in knows:
            _fill_map(http, "params", call.route, knows)
        return
    http.method, http.url = request.method, request.url
    if call.body:
        typed = {"bytes": call.body} if _BYTES in knows else typeddata.body_of(request.headers.get("content-type", ""), call.body)
        if "bytes" in typed:
            http.body.bytes = call.body
        else:
            http.body.string = typed["string"]
    identity = http.identities.add()
    identity.name_claim_type.value, identity.role_claim_type.value = handlervalues.NAME_CLAIM, handlervalues.ROLE_CLAIM
    if call.key is not None:
        identity.authentication_type.value = "WebJobsAuthLevel"
        for name, text in zip(("authlevel", "invoke", "keyid"), (call.key[0], "true", call.key[1]), strict=True):
            claim = identity.claims.add()
            claim.type, claim.value = f"{_KEY_CLAIM}{name}", text
    for part, values in (("headers", request.headers), ("params", call.route), ("query", request.query)):
        _fill_map(http, part, values, knows)


def _fill_map(http: Any, part: str, values: Mapping[str, str], knows: frozenset[str]) -> None:
    if _NULLABLE in knows:
        filled = getattr(http, f"nullable_{part}")
        for name, text in values.items():
            filled[name].value = text
        return
    drops_empty = part == "query" or (part == "headers" and _NO_EMPTY_HEADERS in knows)
    getattr(http, part).update({name: text for name, text in values.items() if text or not drops_empty})


def response(http: Any) -> HttpResponse:
    """The response in RpcHttp. Raises ValueError for one that HTTP cannot carry."""
    headers = [*http.headers.items(), *(("Set-Cookie", _cookie(each)) for each in http.cookies)]
    headers, body = _with_body(http, headers)
    for name, text in headers:
        if not text.isascii():
            raise ValueError(f"it set the header {name} to {text!r}, which is not ASCII")
        if name.lower() == "content-length" and text.strip() != str(len(body)):
            raise ValueError(f"it set Content-Length to {text!r}, and the body has {len(body)} bytes")
    status = http.status_code or "200"
    if not (status.isdecimal() and 200 <= int(status) <= 999):
        raise ValueError(f"it set the status {status!r}, which is none that ends a request")
    sent = [(name, text) for name, text in headers if text or name.lower() != "content-type"]
    return HttpResponse(int(status), sent, b"" if int(status) in httpoutput.BODILESS else body)


def _with_body(http: Any, headers: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], bytes]:
    """The headers and the body. What is not bytes, as the worker of .NET sends it, is written as text, and its type names the charset."""
    kind = http.body.WhichOneof("data")
    if kind is None or kind in ("bytes", "stream"):
        return headers, http.body.bytes or http.body.stream
    given = next((text for name, text in headers if name.lower() == "content-type"), "")
    content_type, body = returnedvalues.shown(returnedvalues.content_of(kind, getattr(http.body, kind)), given)
    return [("Content-Type", content_type), *(pair for pair in headers if pair[0].lower() != "content-type")], body


def _cookie(cookie: Any) -> str:
    """The value of a Set-Cookie header, written as ASP.NET Core writes it."""
    parts = [f"{cookie.name}={quote(cookie.value, safe='')}"]
    if cookie.HasField("expires"):
        parts.append(f"expires={formatdate(cookie.expires.value.seconds, usegmt=True)}")
    if cookie.HasField("max_age"):
        parts.append(f"max-age={int(cookie.max_age.value)}")
    if cookie.domain.value:
        parts.append(f"domain={cookie.domain.value}")
    if path := cookie.path.value if cookie.HasField("path") else "/":
        parts.append(f"path={path}")
    if cookie.secure.value:
        parts.append("secure")
    if _SAME_SITE[cookie.same_site]:
        parts.append(f"samesite={_SAME_SITE[cookie.same_site]}")
    return "; ".join([*parts, *(["httponly"] if cookie.http_only.value else [])])


def answered(binding: str, ended: InvocationResponse, *, elsewhere: bool) -> HttpResponse:
    """The response for what a function returned; `elsewhere` is whether its return value belongs to another binding than HTTP.

    Raises BadAnswer for a value that cannot be a response.
    """
    if ended.result is not None and isinstance(passed_on := ended.result.get("http"), HttpResponse) and passed_on.streamed:
        return passed_on
    own = ended.outputs.get(binding) if binding != "$return" else None if elsewhere else ended.result
    value = ended.result if own is None else own
    if value is None:
        return HttpResponse(204)
    if isinstance(found := value.get("http"), HttpResponse):
        return found
    return returnedvalues.unbound(value) if own is None else returnedvalues.bound(value)
