"""Values between the host and a worker that speaks `FunctionRpc`.

The host has `{kind: content}` with bytes in base64, as every worker takes them; the protocol has TypedData.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

from bridge.local.functions import newtonsoftwriter
from bridge.local.functions.bodymerge import Value
from bridge.local.functions.rpc import httpvalues

_LISTS, _EMPTY_ENTRIES = "TypedDataCollection", "IncludeEmptyEntriesInMessagePayload"
_COLLECTIONS = {"collection_string": "string", "collection_double": "double", "collection_sint64": "sint64"}
_LIST_KINDS = {**_COLLECTIONS, "collection_bytes": "bytes"}  #: each with the name of its entries


def fill(data: Any, value: Value, knows: frozenset[str] = frozenset()) -> None:
    """Put a value into TypedData for a worker that `knows` these capabilities.

    Numbers go as JSON, because the worker of .NET refuses the kinds int and double, and so do lists to a worker that does not know their
    kinds. Nothing is TypedData without content.
    """
    if not value:
        return
    ((kind, content),) = value.items()
    if kind in ("string", "json"):
        setattr(data, kind, content)
    elif kind in ("int", "double"):
        data.json = json.dumps(content)
    elif kind in ("bytes", "stream"):
        data.bytes = content if isinstance(content, bytes) else b64decode(content)
    elif kind in _LIST_KINDS:
        _fill_list(data, kind, content, knows)
    elif kind == "model_binding_data":
        _fill_model(data.model_binding_data, content)
    elif kind == "collection_model_binding_data":
        data.collection_model_binding_data.SetInParent()
        for each in content:
            _fill_model(data.collection_model_binding_data.model_binding_data.add(), each)
    else:
        assert kind == "call", kind  # noqa: S101 - the host makes no other kinds
        httpvalues.fill(data.http, content, knows)


def _fill_list(data: Any, kind: str, content: Any, knows: frozenset[str]) -> None:
    """Entries of a list of texts that are empty or nothing go only to a worker that asks for them."""
    if _LISTS not in knows:
        data.json = newtonsoftwriter.compact(content)
        return
    entries = content
    if kind == "collection_string":
        entries = [each or "" for each in content if each or _EMPTY_ENTRIES in knows]
    elif kind == "collection_bytes":
        entries = [b64decode(each) for each in content]
    getattr(getattr(data, kind), _LIST_KINDS[kind]).extend(entries)
    getattr(data, kind).SetInParent()


def _fill_model(model: Any, content: Value) -> None:
    model.version, model.source, model.content_type = content["version"], content["source"], content["content_type"]
    model.content = content["content"]


def read(data: Any) -> Value | None:
    """The value in TypedData; None if it has none. An HTTP response is under the kind `http`. Raises ValueError for one that is none."""
    kind = data.WhichOneof("data")
    if kind is None:
        return None
    if kind == "http":
        return {"http": httpvalues.response(data.http)}
    content = getattr(data, kind)
    if kind in ("bytes", "stream"):
        return {"bytes": b64encode(content).decode()}
    if kind in _COLLECTIONS:
        return {"json": json.dumps(list(getattr(content, _COLLECTIONS[kind])))}
    if kind == "collection_bytes":
        return {"json": json.dumps([b64encode(each).decode() for each in content.bytes])}
    if kind in ("model_binding_data", "collection_model_binding_data"):
        raise ValueError("it returned a reference to data, which only Azure's extensions can read")
    return {kind: content}
