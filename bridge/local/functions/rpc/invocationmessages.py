"""Orders of the host as InvocationRequests, and InvocationResponses as the host reads them."""

from __future__ import annotations

from typing import Any

from bridge.local.functions.bodymerge import THE_TRIGGER, Value
from bridge.local.functions.rpc import typedvalues
from bridge.local.functions.rpc.protocol import StatusResult, StreamingMessage
from bridge.local.functions.worker import InvocationResponse, Json

_WITHOUT_REQUEST = "RpcHttpTriggerMetadataRemoved"  #: said by a worker that finds the request without the metadata


def request(order: Json, function_id: str, knows: frozenset[str]) -> Any:
    """The message with the InvocationRequest for an order, for a worker that `knows` these capabilities.

    It always has a trace context, because the worker of .NET fails without one.
    """
    message, trigger = StreamingMessage(), order["trigger"]
    made = message.invocation_request
    made.invocation_id, made.function_id = order["id"], function_id
    values: dict[str, Value] = {trigger["name"]: trigger["value"], **order.get("inputs", {})} if trigger["name"] else order["inputs"]
    for name, value in values.items():
        given = made.input_data.add()
        given.name = name
        typedvalues.fill(given.data, value, knows)
    for name, value in trigger["metadata"].items():
        if value != THE_TRIGGER or _WITHOUT_REQUEST not in knows:
            typedvalues.fill(made.trigger_metadata[name], trigger["value"] if value == THE_TRIGGER else value, knows)
    made.trace_context.trace_parent, made.trace_context.trace_state = order["trace"]["parent"], order["trace"]["state"]
    made.trace_context.SetInParent()
    if retry := order.get("retry"):
        made.retry_context.retry_count, made.retry_context.max_retry_count = retry["count"], retry["maximum"]
        if retry["message"]:
            made.retry_context.exception.message = retry["message"]
        made.retry_context.SetInParent()
    return message


def response(answer: Any) -> InvocationResponse:
    """How an invocation ended."""
    result = answer.result
    if result.status != StatusResult.Success:
        fault = result.exception
        code = "Canceled" if result.status == StatusResult.Cancelled and not fault.type else fault.type or "FunctionFailed"
        text = fault.message or result.result or "the worker says no more"
        return InvocationResponse(ok=False, message=f"{code}: {text}", stack=fault.stack_trace, code=code, text=text)
    try:
        values = {each.name: typedvalues.read(each.data) for each in answer.output_data}
        returned = typedvalues.read(answer.return_value)
    except ValueError as wrong:
        return InvocationResponse(ok=False, message=str(wrong), code="BadAnswer", text=str(wrong))
    return InvocationResponse(ok=True, result=returned, outputs={name: value for name, value in values.items() if value is not None})
