"""States of deliveries: what a client's outcome means for a message, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.adapters.embedded.amqp.brokererrors import BrokerError
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Complete, Defer, Disposition, Reject, Release, Value
from bridge.amqp.amqptypes import Described, Symbol, ULong
from bridge.amqp.encode import composite

_ACCEPTED, _REJECTED, _RELEASED, _MODIFIED, _TRANSACTIONAL, _ERROR = 0x24, 0x25, 0x26, 0x27, 0x34, 0x1D
ACCEPTED = composite(_ACCEPTED)
_REASON, _DESCRIPTION = "DeadLetterReason", "DeadLetterErrorDescription"
_NAMES = {
    "amqp:accepted:list": _ACCEPTED,
    "amqp:rejected:list": _REJECTED,
    "amqp:released:list": _RELEASED,
    "amqp:modified:list": _MODIFIED,
}


def error(condition: str, description: str) -> bytes:
    """An error as it stands in a performative. Its info is not empty, because one client looks into it without asking."""
    return composite(_ERROR, Symbol(condition), description, {Symbol("info"): ""})


def rejected(fault: BrokerError) -> bytes:
    """The state that refuses a delivery."""
    return composite(_REJECTED, Described(ULong(_ERROR), [Symbol(fault.condition), str(fault), {Symbol("info"): ""}]))


def is_transactional(state: Any) -> bool:
    """Whether a transfer or disposition says that it is part of a transaction."""
    return isinstance(state, Described) and state.descriptor in (_TRANSACTIONAL, "amqp:transactional-state:list")


def read_outcome(state: Any) -> tuple[Disposition, bytes] | None:
    """What a client's outcome asks for, and the state that confirms it; None for a state that ends nothing."""
    if not isinstance(state, Described):
        return None
    code = _NAMES.get(state.descriptor) if isinstance(state.descriptor, str) else state.descriptor
    fields = state.value if isinstance(state.value, list) else []
    if code == _ACCEPTED:
        return Complete(), ACCEPTED
    if code == _RELEASED:
        return Release(), composite(_RELEASED)
    if code == _MODIFIED:
        return _modified(fields)
    if code == _REJECTED:
        return _reject(fields[0] if fields else None), composite(_REJECTED)
    return None


def _modified(fields: list[Any]) -> tuple[Disposition, bytes]:
    failed, elsewhere, changes = (*fields, None, None, None)[:3]
    properties = application_properties(changes)
    done: Disposition = Defer(properties) if elsewhere is True else Abandon(properties)
    return done, composite(_MODIFIED, failed is True, elsewhere is True)


def _reject(fault: Any) -> Reject:
    """Reason and description stand in the info map, and beside them properties to set; a plain error gives condition and text instead."""
    fields = fault.value if isinstance(fault, Described) and isinstance(fault.value, list) else []
    condition, description, info = (*fields, None, None, None)[:3]
    entries = application_properties(info)
    if condition == "com.microsoft:dead-letter" or not condition:
        return Reject(_text(entries.pop(_REASON, None)), _text(entries.pop(_DESCRIPTION, None)), entries)
    return Reject(str(condition), _text(description), {})


def application_properties(entries: Any) -> dict[str, Value]:
    """Entries whose keys may be symbols, as application properties: text keys, and only values that can be one."""
    if not isinstance(entries, Mapping):
        return {}
    return {str(key): value for key, value in entries.items() if isinstance(key, str) and not isinstance(value, list | dict | Described)}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
