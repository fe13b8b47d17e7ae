"""What a custom handler gets and answers: the JSON of the Functions host's HTTP worker, as recorded from it.

A request is `{"Data": {binding: value}, "Metadata": {name: value}}`, an answer
`{"Outputs": {binding: value}, "Logs": [text], "ReturnValue": value}`.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from bridge.local.functions import bodymerge, httpoutput, newtonsoftreader, newtonsoftwriter, requestheaders, typeddata
from bridge.local.functions.bodymerge import Value
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.invocations import InvocationRequest
from bridge.local.functions.keys import QUERY as KEY
from bridge.local.functions.worker import InvocationResponse

NAME_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
ROLE_CLAIM = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
_IDENTITY: dict[str, Any] = {
    "AuthenticationType": None,
    "IsAuthenticated": False,
    "Actor": None,
    "BootstrapContext": None,
    "Claims": [],
    "Label": None,
    "Name": None,
    "NameClaimType": NAME_CLAIM,
    "RoleClaimType": ROLE_CLAIM,
}
_DEFAULT_TYPE = "text/plain"
_ONLY_FOR_WORKERS = frozenset({"QueueTrigger", "TimerTrigger"})
_LINE_BREAK = re.compile(r"[\r\n\0]")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*")
_FRACTION = re.compile(r"\.\d+")
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class BadAnswer(ValueError):
    """The handler answered what the Functions host does not take."""


def http(function: str, parameter: str, parameters: Mapping[str, str | None], request: HttpRequest, body: bytes) -> InvocationRequest:
    """The invocation for a request to an HTTP function. A chunked body is handed over too, which Azure does not do."""
    headers = requestheaders.named(request.sent_headers)
    sent: dict[str, Any] = {
        "Url": request.url,
        "Method": request.method,
        "Query": dict(request.query),
        "Headers": headers,
        "Params": dict(parameters),
        "Identities": [_IDENTITY],
    }
    if body:
        sent["Body"] = bodymerge.plain(typeddata.body_of(request.headers.get("content-type", ""), body))
    last = request.target.last if request.target is not None else {}
    unset = {KEY, *(name.lower() for name, text in parameters.items() if text is None)}
    merged: dict[str, Any] = {}
    for later in (
        {name: _metadata(value) for name, value in bodymerge.properties(body.decode("utf-8-sig", "replace")).items()},
        {name: json.dumps(text, ensure_ascii=False) for name, text in last.items() if name.lower() not in unset},
        {name: json.dumps(text, ensure_ascii=False) for name, text in parameters.items() if text is not None},
    ):
        merged = bodymerge.over(merged, later)
    merged |= {
        "Headers": {name: ",".join(texts) for name, texts in headers.items()},
        "Query": dict(request.query),
        "sys": bodymerge.system(function),
    }
    payload = {"Data": {parameter: sent}, "Metadata": merged}
    return InvocationRequest(parameter, {"handler": {"payload": payload, "request": request, "body": body}}, {})


def message(function: str, parameter: str, value: Value, metadata: Mapping[str, Value]) -> dict[str, Any]:
    """The request for anything but HTTP. Text is sent as the JSON of a string."""
    own = _metadata(value)
    shown = {
        name: own if each == bodymerge.THE_TRIGGER else _metadata(each) for name, each in metadata.items() if name not in _ONLY_FOR_WORKERS
    }
    system = {} if any(name.lower() == "sys" for name in shown) else {"sys": bodymerge.system(function)}
    return {"Data": {parameter: own}, "Metadata": {**system, **shown}}


def with_retry(payload: dict[str, Any], function: str, retry: Mapping[str, Any] | None) -> dict[str, Any]:
    """The request of a function that has a retry policy: it is told which try this is."""
    if retry is None:
        return payload
    failed = {"Message": f"Exception while executing function: Functions.{function}", "InnerException": {"Message": retry["message"]}}
    context = {"RetryCount": retry["count"], "MaxRetryCount": retry["maximum"], "State": {}, "Instance": None}
    context["Exception"] = failed if retry["count"] else None
    return {**payload, "Metadata": {**payload["Metadata"], "RetryContext": context}}


def _metadata(value: Value) -> Any:
    """Scalars as the JSON text of a string, times without their fraction, lists as JSON text, objects as they are."""
    ((kind, content),) = value.items()
    if kind == "json":
        parsed = json.loads(content)
        if isinstance(parsed, str) and _TIME.fullmatch(parsed):
            return _FRACTION.sub("", parsed)
        return parsed if isinstance(parsed, dict) else content if isinstance(parsed, list) else str(parsed)
    if kind == "string":
        return newtonsoftwriter.quoted(content)
    return str(content)


def answered(data: bytes, content_type: str) -> tuple[InvocationResponse, list[str]]:
    """What a handler's answer means, and the lines it logs. Raises BadAnswer."""
    if not data.strip():
        raise BadAnswer("its handler answered nothing; in Azure the call would never end. Answer a JSON object, {} at least")
    if content_type.partition(";")[0].strip().lower() not in ("application/json", "text/json"):
        raise BadAnswer(f"its handler answered {content_type or 'no content type'}; it must be application/json")
    content = _json(data)
    if not isinstance(content, dict):
        raise BadAnswer("its handler answered no JSON object; it must have Outputs, Logs or ReturnValue")
    named = {name.lower(): value for name, value in content.items()}
    outputs = named.get("outputs") or {}
    lines = named.get("logs") or []
    if not isinstance(outputs, dict) or not isinstance(lines, list) or any(isinstance(each, dict | list) for each in lines):
        raise BadAnswer("its handler answered Outputs that are no object, or Logs that are no list of texts")
    result = named.get("returnvalue")
    given = InvocationResponse(
        ok=True,
        result=None if result is None else _value(result),
        outputs={name: _value(value) for name, value in outputs.items()},
    )
    return given, [str(each) for each in lines if each is not None]


def _json(data: bytes) -> Any:
    """What the answer holds, which Azure's host reads with Newtonsoft. Raises BadAnswer."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        pass
    try:
        return newtonsoftreader.parse(data.decode("utf-8-sig", "replace"), times=False)
    except ValueError:
        raise BadAnswer("its handler answered what is no JSON") from None


def _value(value: object) -> Value:
    return {"string": value} if isinstance(value, str) else {"json": json.dumps(value)}


def response(binding: str, ended: InvocationResponse) -> HttpResponse:
    """The response for what a handler has set on the `http` binding; `$return` is its return value, no name is none at all."""
    if ended.result is not None and "http" in ended.result:
        forwarded: HttpResponse = ended.result["http"]
        return forwarded
    if binding in ("", "$return"):
        return _of_return(ended.result)
    if binding not in ended.outputs:
        return HttpResponse(200, [("Content-Type", "text/plain; charset=utf-8")], b"{}")
    found = _object(ended.outputs[binding])
    if found is None:
        shown = str(ended.outputs[binding])[:100]
        raise BadAnswer(f"its handler set {shown} on {binding}; it must be an object with statusCode, body and headers")
    return _of_object(found)


def _of_return(result: Value | None) -> HttpResponse:
    if result is None:
        return HttpResponse(204)
    found, plain = _object(result), bodymerge.plain(result)
    if found is None and isinstance(plain, str) and (data := _decoded(plain)) is not None:
        return HttpResponse(200, [], data)
    return _of_object(found if found is not None else {"body": plain})


def _decoded(text: str) -> bytes | None:
    """The bytes of a text that happens to be base64: Azure's host takes a returned text for bytes then."""
    try:
        return b64decode(text, validate=True) if text else None
    except ValueError:
        return None


def _object(value: Value) -> dict[str, Any] | None:
    """The object in a value, or in a text that holds one."""
    content = bodymerge.plain(value)
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return None
    return content if isinstance(content, dict) else None


def _of_object(found: Mapping[str, Any]) -> HttpResponse:
    named = {name.lower(): value for name, value in found.items()}
    content_type, headers = _DEFAULT_TYPE, []
    given = named.get("headers")
    for name, value in given.items() if isinstance(given, dict) else ():
        text = _header_text(name, value)
        if name.lower() == "content-type":
            content_type = text or content_type
        elif name.lower() not in ("server", "date"):
            headers.append((name, text))
    body = named.get("body")
    text = httpoutput.text(body, indent=named.get("enablecontentnegotiation") is not True)
    kind, encoding = httpoutput.with_charset(content_type)
    status = _status(named.get("statuscode"))
    if 100 <= status < 200:
        raise BadAnswer(f"its handler set the status {status}, after which an answer would still have to come")
    return HttpResponse(
        status, [("Content-Type", kind), *headers], b"" if status in httpoutput.BODILESS else text.encode(encoding, "replace")
    )


def _status(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return 200
    try:
        return int(given)
    except ValueError:
        return 200


def _header_text(name: str, value: object) -> str:
    if not isinstance(value, str | bool | int | float):
        raise BadAnswer(f"its handler set the header {name} to {value!r}; it must be text, a number or a bool")
    text = httpoutput.text(value)
    if _LINE_BREAK.search(text) or not text.isascii():
        raise BadAnswer(f"its handler set the header {name} to a text that a header cannot carry")
    return text
