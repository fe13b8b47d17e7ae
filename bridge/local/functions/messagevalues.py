"""The invocation of a function for a message, or for a batch of them, with the value and the metadata that Azure's host makes of it.

Workers for PowerShell and custom handlers take metadata as values with their kind, the Python worker takes them as they are.
"""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bridge.amqp.amqptypes import UInt
from bridge.amqp.decode import decode
from bridge.amqp.encode import binary, composite
from bridge.amqp.sections import DATA, HEADER, Parts
from bridge.local.functions import bodymerge, metadata, newtonsoftreader, newtonsoftwriter
from bridge.local.functions.bindings import DataType, ServiceBusTrigger
from bridge.local.functions.bodymerge import Value
from bridge.local.functions.feed import BodyForm, Feed, Received
from bridge.local.functions.invocations import HeldMessages, InvocationRequest

_SOURCE, _VERSION, _OCTETS = "AzureServiceBusReceivedMessage", "1.0", "application/octet-stream"


class NotBindable(ValueError):
    """The message has a body that the function's parameter cannot take; the function is not called then."""


def of_message(trigger: ServiceBusTrigger, received: Received, *, typed: bool) -> InvocationRequest:
    """The invocation for one message. Properties of a JSON body that is not taken as bytes replace the broker's of the same name."""
    own = metadata.of_message(received)
    try:
        value = _value(trigger, received)
    except NotBindable as problem:
        return _request(trigger, [received], {"string": ""}, {}, str(problem))
    merged = bodymerge.properties(value.get("string", ""))
    if typed:
        entries = bodymerge.over({name: None if each is None else _typed(name, each) for name, each in own.items()}, merged)
    else:
        entries = bodymerge.over(own, {name: bodymerge.plain(each) for name, each in merged.items()})
    return _request(trigger, [received], value, {name: each for name, each in entries.items() if each is not None})


def of_batch(trigger: ServiceBusTrigger, batch: Sequence[Received], *, typed: bool, collections: bool = False) -> InvocationRequest:
    """The invocation for a batch, which is not empty. `collections` is whether a typed worker has kinds for texts and bytes."""
    own = metadata.of_batch(batch)
    entries = {name: _listed(name, each, collections=collections) for name, each in own.items()} if typed else own
    try:
        return _request(trigger, batch, _values(trigger, batch, typed=typed and not collections), entries)
    except NotBindable as problem:
        return _request(trigger, batch, {"json": "[]"}, entries, str(problem))


def of_input(trigger: ServiceBusTrigger, text: str, *, typed: bool, collections: bool = False) -> InvocationRequest:
    """The invocation for a message that somebody made up: it has a body, and nothing that only a broker gives it."""
    given = {"deliveryCount": 0, "sequenceNumber": -1, "enqueuedTime": "0001-01-01T00:00:00Z"}
    body = text.encode()
    received = Received(str(uuid.UUID(int=0)), body, given, encoded=b"\x00\x53" + bytes([DATA]) + binary(body))
    if trigger.many:
        made = of_batch(trigger, [received], typed=typed, collections=collections)
    else:
        made = of_message(trigger, received, typed=typed)
    return replace(made, metadata={name: value for name, value in made.metadata.items() if name not in metadata.OBJECTS})


def held(feed: Feed, messages: Sequence[Received]) -> HeldMessages:
    """What a function that is called for the messages may settle itself."""
    return HeldMessages(feed, {each.lock: str(each.properties.get("sessionId") or "") for each in messages})


def _request(
    trigger: ServiceBusTrigger, messages: Sequence[Received], value: Value, entries: Mapping[str, Any], refused: str = ""
) -> InvocationRequest:
    first = messages[0].properties
    application: Mapping[str, Any] = first.get("applicationProperties") or {}
    single = len(messages) == 1
    return InvocationRequest(
        parameter=trigger.parameter,
        value=value,
        metadata=dict(entries),
        traceparent=str(application.get("Diagnostic-Id") or application.get("traceparent") or "") if single else "",
        tracestate=str(application.get("tracestate") or "") if single else "",
        on_behalf_of=str(first.get("messageId") or "") if single else f"{len(messages)} messages",
        refused=refused,
    )


def _value(trigger: ServiceBusTrigger, received: Received) -> Value:
    """Raises NotBindable."""
    if trigger.deferred:
        return {"model_binding_data": _message_itself(received)}
    _check(trigger, received)
    if trigger.data_type is DataType.BINARY:
        return {"bytes": b64encode(received.body).decode()}
    return {"string": received.body.decode("utf-8", "replace")}


def _message_itself(received: Received) -> Value:
    """What Azure's extension hands to a worker that reads messages itself: the lock token as .NET writes GUIDs, then the message."""
    try:
        token = uuid.UUID(received.lock).bytes_le
    except ValueError:
        raise NotBindable(f"its lock token {received.lock!r} is no GUID, which a ServiceBusReceivedMessage has") from None
    return {"version": _VERSION, "source": _SOURCE, "content_type": _OCTETS, "content": token + _with_this_delivery(received.encoded)}


def _with_this_delivery(encoded: bytes) -> bytes:
    """The message with the delivery count that clients show: on the wire it counts the deliveries before this one."""
    parts = Parts(encoded)
    header = parts.sections.get(HEADER)
    fields: list[Any] = decode(encoded, header.value)[0] if header is not None else []
    durable, priority, lives, first, count = (*fields, *[None] * 5)[:5]
    counted = composite(HEADER, durable, priority, lives, first, UInt((count or 0) + 1))
    return counted + encoded[header.end if header is not None else 0 :]


def _check(trigger: ServiceBusTrigger, received: Received) -> None:
    if trigger.data_type is DataType.STREAM:
        raise NotBindable("dataType stream is not for messages; write string or binary")
    if received.form is BodyForm.OTHER:
        raise NotBindable("its body is an AMQP value or sequence, which no function can take; send the body as data")
    if received.form is BodyForm.TEXT and trigger.data_type is DataType.BINARY:
        raise NotBindable("its body is an AMQP value that is text, which dataType binary does not take; send the body as data")


def _values(trigger: ServiceBusTrigger, batch: Sequence[Received], *, typed: bool) -> Value:
    """The bodies of a batch as one value. Without a data type each must be JSON, and the host parses it. Raises NotBindable."""
    if trigger.deferred:
        return {"collection_model_binding_data": [_message_itself(each) for each in batch]}
    for received in batch:
        _check(trigger, received)
    if trigger.data_type is DataType.BINARY:
        encoded = [b64encode(received.body).decode() for received in batch]
        return {"json": json.dumps(encoded)} if typed else {"collection_bytes": encoded}
    texts = [received.body.decode("utf-8", "replace") for received in batch]
    if trigger.data_type is DataType.STRING:
        return {"json": newtonsoftwriter.compact(texts)} if typed else {"collection_string": texts}
    return {"json": newtonsoftwriter.compact([_parsed(text) for text in texts])}


def _parsed(text: str) -> Any:
    try:
        return newtonsoftreader.parse(text) if text.strip() else None
    except ValueError as problem:
        raise NotBindable(f"a message of the batch is no JSON ({problem}), so none can be handed over; write dataType string") from None


def _listed(name: str, values: object, *, collections: bool) -> Value:
    """What a batch has under a name, for a worker that has or has not kinds for lists."""
    if collections and name in metadata.TEXT_LISTS:
        return {"collection_string": values}
    if collections and name in metadata.NUMBER_LISTS:
        return {"collection_sint64": values}
    return {"json": newtonsoftwriter.compact(values)}


def _typed(name: str, value: object) -> Value:
    if isinstance(value, str):
        return {"json": json.dumps(value)} if name in metadata.TIMES else {"string": value}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"int": value}
    return {"json": newtonsoftwriter.compact(value)}
