"""What Microsoft's Service Bus emulator takes, as its own schema says (`Config-schema.json` in its repository, 2026), and nothing else."""

from __future__ import annotations

from typing import Any

from jsonschema_rs import validator_for

_NAME = {"type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?$"}
_FORWARD = {"type": "string", "pattern": "^([A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?)?$"}
_SPAN = {"type": "string", "pattern": "^P([0-9]+D|([0-9]+D)?T([0-9]+H)?([0-9]+M)?([0-9]+S)?)$"}
_FLAG = {"type": "boolean"}
_DELIVERS = {
    "DeadLetteringOnMessageExpiration": _FLAG,
    "DefaultMessageTimeToLive": _SPAN,
    "LockDuration": _SPAN,
    "MaxDeliveryCount": {"type": "integer", "minimum": 1, "maximum": 10},
    "ForwardTo": _FORWARD,
    "ForwardDeadLetteredMessagesTo": _FORWARD,
    "RequiresSession": _FLAG,
}
_DETECTS = {"RequiresDuplicateDetection": _FLAG, "DuplicateDetectionHistoryTimeWindow": _SPAN}


def _shape(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


def _list(items: Any, least: int = 0, most: int = 50) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


_CORRELATION = {"type": "object", "minProperties": 1, "properties": {"Properties": {"type": "object", "minProperties": 1}}}
_SQL = _shape("SqlExpression", SqlExpression={"type": "string"})
_FILTERS = {"FilterType": {"enum": ["Sql", "Correlation"]}, "SqlFilter": _SQL, "CorrelationFilter": _CORRELATION, "Action": _SQL}
_RULE = _shape("Name Properties", Name=_NAME, Properties=_shape("FilterType", **_FILTERS))
_SUBSCRIPTION = _shape("Name", Name=_NAME, Properties=_shape("", **_DELIVERS), Rules=_list(_RULE, most=1000))
_QUEUE = _shape("Name", Name=_NAME, Properties=_shape("", **_DELIVERS, **_DETECTS))
_TOPIC = _shape(
    "Name Subscriptions",
    Name=_NAME,
    Properties=_shape("", DefaultMessageTimeToLive=_SPAN, **_DETECTS),
    Subscriptions=_list(_SUBSCRIPTION, least=1),
)
_NAMESPACE = _shape("Name Queues Topics", Name={"const": "sbemulatorns"}, Queues=_list(_QUEUE), Topics=_list(_TOPIC))
_LOGGING = _shape("Type", Type={"enum": ["File", "Console", "File,Console", "Console,File"]})
EMULATOR = validator_for(
    _shape("UserConfig", UserConfig=_shape("Namespaces Logging", Namespaces=_list(_NAMESPACE, 1, 1), Logging=_LOGGING))
)
