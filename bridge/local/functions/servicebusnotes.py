"""What the start of an app says of its Service Bus triggers: what Azure will do with them, and what has no effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bridge.local.functions.bindings import DataType, Function, ServiceBusTrigger
from bridge.local.functions.hostjson import ServiceBus

_UNUSED = ("prefetch_count", "transport_type", "web_proxy", "enable_cross_entity_transactions")


def of_function(function: Function, described: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of a function that runs. `described` are its bindings as they are written."""
    for binding in described:
        if any(name.lower() == "includemetadata" for name in binding) and str(binding.get("type")).lower() == "servicebus":
            yield f"{function.name}: includeMetadata of {binding.get('name')} has no effect, here or in Azure: no property can be set"
    trigger = function.trigger
    if isinstance(trigger, ServiceBusTrigger) and not function.disabled:
        yield from _of_trigger(function, trigger)


def _of_trigger(function: Function, trigger: ServiceBusTrigger) -> Iterator[str]:
    name = function.name
    if trigger.data_type is DataType.STREAM:
        yield f"{name}: no message can be handed over as dataType stream: each fails uncalled, here and in Azure; write string or binary"
    if not trigger.completes:
        yield (
            f"{name}: autoCompleteMessages is false, so {_left(trigger)}: its lock ends, it comes again, and"
            " after MaxDeliveryCount deliveries it is a dead letter, here and in Azure"
        )
    if trigger.many and trigger.data_type is DataType.UNDEFINED and not trigger.deferred:
        yield f"{name}: one message that is no JSON fails its whole batch, here and in Azure; write dataType string to take any text"
    if trigger.many:
        yield f"{name}: the locks of a batch are not renewed, here or in Azure: a call that takes longer than LockDuration runs again"
    if function.retry is not None:
        yield f"{name}: retries happen while the messages stay locked, and each delivery has all of them again; Azure announces their end"


def _left(trigger: ServiceBusTrigger) -> str:
    """What becomes of a message after a success. A function that takes the message itself may settle it; nothing says whether it does."""
    if trigger.deferred:
        return "a message that the function does not settle itself (ServiceBusMessageActions) is not completed after a success"
    return "nothing completes a message after a success"


def of_refused(name: str, described: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of a function that its worker cannot load."""
    for binding in described:
        if str(binding.get("type")).lower() == "servicebustrigger":
            entity = binding.get("queueName") or f"{binding.get('topicName')}/{binding.get('subscriptionName')}"
            yield (
                f"{name}: in Azure its listener starts all the same: each message of {entity} fails MaxDeliveryCount times in a moment and"
                " becomes a dead letter. Here its messages stay where they are"
            )


def of_app(functions: Sequence[Function], settings: ServiceBus) -> Iterator[str]:
    """Of all functions of an app together."""
    fed = [each for each in functions if isinstance(each.trigger, ServiceBusTrigger) and not each.disabled]
    alone = [each.name for each in fed if isinstance(each.trigger, ServiceBusTrigger) and not each.trigger.many]
    if alone:
        yield (
            f"when Azure's host stops, it abandons the message of a function that takes one at a time although the function succeeds, so"
            f" it runs twice: {', '.join(alone)}. Here the message is completed"
        )
    defaults = ServiceBus()
    for field in _UNUSED if fed else ():
        if getattr(settings, field) != getattr(defaults, field):
            yield f"{ServiceBus.model_fields[field].alias} of host.json counts in Azure and has no effect here"
