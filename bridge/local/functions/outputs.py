"""What a function sets on a `serviceBus` output binding, as the messages that Azure would send.

The Functions host parses text as JSON: a top-level array becomes a message an element, and what is sent is JSON written anew, so the
bytes of the body are not those that the function set (azure-functions-host, FunctionBinding.ReadAsEnumerable).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.local.functions import bindingexpressions, newtonsoftreader, newtonsoftwriter
from bridge.local.functions.bindings import DataType, Destination, Function
from bridge.local.functions.feed import OutputMessage
from bridge.local.functions.worker import InvocationResponse

TEXT = "text/plain"  #: the content type of all that is sent, whatever it is
BYTES_TAKEN_FOR_TEXT = "System.Byte[]"  #: what Azure's host sends for a text of a custom handler that happens to be base64
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_BLANKS = re.compile(r"[ \t\r\n]")


@dataclass(frozen=True, slots=True)
class BindingOutput:
    """What a function has set on one binding, and where it goes. `problem` is why nothing of it can be sent."""

    binding: str
    connection: str
    messages: tuple[OutputMessage, ...] = ()
    problem: str = ""


def outgoing(
    function: Function, response: InvocationResponse, metadata: Mapping[str, Any], *, handler: bool = False
) -> list[BindingOutput]:
    """What a function that succeeded has set, for each binding.

    The `metadata` of its trigger fill in names; `handler` is whether a custom handler has set it.
    """
    found = [
        _output(name, function.outputs[name], value, response.invocation, metadata, handler=handler)
        for name, value in _set(response).items()
        if name in function.outputs
    ]
    return [each for each in found if each.messages or each.problem]


def _output(  # noqa: PLR0913 - all that decides on a message
    name: str, goes_to: Destination, value: Mapping[str, Any], invocation: str, metadata: Mapping[str, Any], *, handler: bool
) -> BindingOutput:
    try:
        found = bodies(value, goes_to.data_type, handler=handler)
        entity = bindingexpressions.resolved(goes_to.entity, metadata) if found else ""
    except ValueError as problem:
        return BindingOutput(name, goes_to.connection, problem=str(problem))
    return BindingOutput(name, goes_to.connection, tuple(OutputMessage(entity, body, TEXT, invocation) for body in found))


def not_sent(function: Function, response: InvocationResponse) -> dict[str, int]:
    """The bindings that this host does not send and the function has set, each with the size of its value in bytes."""
    values = _set(response)
    return {name: _size(values[name]) for name in function.unsent if name in values}


def not_sent_text(function: Function, response: InvocationResponse) -> str:
    """The same for the bridge, such as `copy=10, audit=250`; empty if the function failed or all that it has set is sent."""
    sizes = not_sent(function, response) if response.ok and function.unsent else {}
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def taken_for_bytes(function: Function, response: InvocationResponse) -> list[str]:
    """The bindings on which a custom handler has set a text that Azure's host takes for bytes and does not send."""
    values = ((name, value.get("string"), function.outputs.get(name)) for name, value in _set(response).items())
    return [name for name, text, goes_to in values if goes_to is not None and text is not None and _is_base64(text, goes_to.data_type)]


def sets_nothing(function: Function, response: InvocationResponse) -> bool:
    """Whether the function has set none of the bindings that are sent."""
    return not function.outputs.keys() & _set(response).keys()


def _set(response: InvocationResponse) -> dict[str, Mapping[str, Any]]:
    return {**response.outputs, **({"$return": response.result} if response.result is not None else {})}


def _size(value: Mapping[str, Any]) -> int:
    try:
        return sum(map(len, bodies(value)))
    except ValueError:
        return len(str(value))


def bodies(value: Mapping[str, Any], data_type: DataType = DataType.UNDEFINED, *, handler: bool = False) -> list[bytes]:
    """The bodies for one value from a worker (`{"string" | "json" | "int" | "double": content}` or `{"bytes": base64}`).

    What a custom handler answers is read with its times, what other workers send as JSON is not. Raises ValueError for text that looks
    like JSON and is none, which fails the function in Azure too.
    """
    ((kind, content),) = value.items()
    if kind == "bytes":
        return [b64decode(content)]
    found = newtonsoftreader.parse(content, times=handler) if kind == "json" else content
    if handler and isinstance(found, str):
        found = BYTES_TAKEN_FOR_TEXT if _is_base64(found, data_type) else newtonsoftreader.time(found)
    if isinstance(found, str) and newtonsoftreader.is_container(found):
        found = _parsed(found)
    if isinstance(found, list):
        return [newtonsoftwriter.text_of(each).encode("utf-8", "replace") for each in found]
    return [] if found is None else [newtonsoftwriter.text_of(found).encode("utf-8", "replace")]


def _parsed(text: str) -> Any:
    try:
        return newtonsoftreader.parse(text)
    except ValueError as problem:
        raise ValueError(f"the text begins and ends as JSON does and is none ({problem})") from None


def _is_base64(text: str, data_type: DataType) -> bool:
    return data_type is not DataType.BINARY and bool(_BASE64.fullmatch(_BLANKS.sub("", text)))
