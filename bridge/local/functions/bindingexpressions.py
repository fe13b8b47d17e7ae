"""Names of queues and topics with parts such as `{name}`, `{data.part}` or `{rand-guid}`, which the trigger of a call fills in."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bridge.local.functions import newtonsoftwriter

_PART = re.compile(r"\{([^{}]*)\}")


def resolved(template: str, metadata: Mapping[str, Any]) -> str:
    """The name with its parts filled in, from the metadata of the trigger and by the names there in any letter case. Raises ValueError."""
    return _PART.sub(lambda part: _filled(part[1].strip(), metadata), template) if "{" in template else template


def _filled(path: str, metadata: Mapping[str, Any]) -> str:
    match path.lower():
        case "rand-guid" | "sys.randguid":
            return str(uuid.uuid4())
        case "datetime" | "sys.utcnow":
            return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    value: Any = metadata
    for name in path.split("."):
        entries = value.items() if isinstance(value, Mapping) else ()
        value = next((each for member, each in entries if str(member).lower() == name.lower()), None)
        if value is None:
            raise ValueError(f"{{{path}}} has no value: neither the message nor its metadata have it")
    return newtonsoftwriter.text_of(value)
