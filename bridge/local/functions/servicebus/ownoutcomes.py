"""What a function does with its own message, as the AMQP state of its delivery (AMQP 1.0, part 3.4; dead letters are Service Bus's)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.amqp.amqptypes import Described, Symbol, ULong
from bridge.amqp.clientframes import ACCEPT, MODIFIED_CODE, REJECTED_CODE
from bridge.amqp.decode import decode
from bridge.amqp.encode import composite
from bridge.amqp.scan import BadEncoding
from bridge.local.functions.feed import ActionKind, MessageAction

_ERROR = 0x1D
_DEAD_LETTER = Symbol("com.microsoft:dead-letter")


def properties(encoded: bytes) -> dict[Any, Any]:
    """The properties to modify, which come as an AMQP map; its keys become symbols. Raises ValueError for anything else."""
    if not encoded:
        return {}
    try:
        found, end = decode(encoded)
    except BadEncoding as fault:
        raise ValueError(f"propertiesToModify is no AMQP map: {fault}") from None
    if not isinstance(found, Mapping) or end != len(encoded):
        raise ValueError("propertiesToModify is no AMQP map")
    return {Symbol(str(name)): value for name, value in found.items()}


def outcome(action: MessageAction) -> bytes:
    """The state to settle the delivery with."""
    changes = dict(action.properties)
    if action.kind is ActionKind.COMPLETE:
        return ACCEPT
    if action.kind is ActionKind.DEAD_LETTER:
        given = {"DeadLetterReason": action.reason, "DeadLetterErrorDescription": action.description}
        info = {**changes, **{Symbol(name): text for name, text in given.items() if text is not None}}
        return composite(REJECTED_CODE, Described(ULong(_ERROR), [_DEAD_LETTER, None, info]))
    return composite(MODIFIED_CODE, action.kind is ActionKind.ABANDON, action.kind is ActionKind.DEFER, changes or None)
