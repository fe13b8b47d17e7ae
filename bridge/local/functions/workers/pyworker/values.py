"""Values as they are sent between host and worker: an object with one key that names the kind.

`{"string": text}`, `{"json": text}`, `{"bytes": base64}`, `{"int": n}`, `{"double": x}`,
`{"collection_string": [text]}`, `{"collection_bytes": [base64]}`, and
`{"http": {"method", "url", "headers", "params", "query", "body": base64}}` on the way in,
`{"http": {"status", "headers": [[name, value]...], "body": base64}}` on the way out.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any

from .wire import Json


def kind_and_content(value: Json) -> tuple[str, Any]:
    """The kind of a value that came in, and its content with base64 undone."""
    ((kind, content),) = value.items()
    if kind == "bytes":
        return kind, b64decode(content)
    if kind == "collection_string":
        return kind, SimpleNamespace(string=content)
    if kind == "collection_bytes":
        return kind, SimpleNamespace(bytes=[b64decode(each) for each in content])
    if kind == "http":
        return kind, {**content, "body": b64decode(content["body"])}
    return kind, content


def metadata(value: object) -> tuple[str, str]:
    """Kind and content of one piece of trigger metadata: text as it is, all else as JSON, as the Functions host sends them."""
    return ("string", value) if isinstance(value, str) else ("json", json.dumps(value))


def outgoing(kind: str | None, content: Any) -> Json | None:
    """The value for what an SDK converter made; None if there is nothing to send."""
    if kind is None or content is None:
        return None
    if kind == "bytes":
        return {"bytes": b64encode(content).decode()}
    if kind in ("dict", "list"):
        return {"json": json.dumps(content)}
    return {"int" if kind == "bool" else kind: content}


def http_answer(status: object, headers: Iterable[tuple[str, str]], cookies: Iterable[SimpleCookie], body: bytes) -> Json:
    """An HTTP answer; each cookie becomes a header."""
    lines = [[name, value] for name, value in headers]
    lines += [["set-cookie", morsel.OutputString()] for cookie in cookies for morsel in cookie.values()]
    return {"http": {"status": int(str(status)), "headers": lines, "body": b64encode(body).decode()}}
