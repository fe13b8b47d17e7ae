"""What a function sets on a `serviceBus` output binding, as the messages that Azure would send.

The Functions host parses text as JSON: a top-level array becomes a message an element, and what is sent is JSON written anew, so the
bytes of the body are not those that the function set (azure-functions-host, FunctionBinding.ReadAsEnumerable).
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

TEXT = "text/plain"
BYTES = "application/octet-stream"

Body = tuple[bytes, str]
"""A message's body and its content type."""


def messages(value: Mapping[str, Any]) -> list[Body]:
    """The messages for one value from a worker (`{"string" | "json" | "int" | "double": content}` or `{"bytes": base64}`)."""
    ((kind, content),) = value.items()
    if kind == "bytes":
        return [(b64decode(content), BYTES)]
    text = content if isinstance(content, str) else json.dumps(content)
    try:
        parsed = json.loads(text)
    except ValueError:
        return [(text.encode(), TEXT)]
    if isinstance(parsed, list):
        return [_body(each) for each in parsed]
    return [_body(parsed) if isinstance(parsed, dict) else (text.encode(), TEXT)]


def _body(value: object) -> Body:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return text.encode(), TEXT
