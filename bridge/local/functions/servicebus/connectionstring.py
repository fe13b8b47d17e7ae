"""Connection strings of Azure Service Bus, `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…`, as the Azure SDKs read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PLACEHOLDERS = frozenset({"SAS_KEY_VALUE"})  #: what Microsoft's examples for its emulator have in place of a key
TLS_PORT, EMULATOR_PORT = 5671, 5672


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """Where a namespace is, and the key or the ready-made signature that opens it."""

    host: str
    port: int
    is_emulator: bool  #: an emulator speaks without TLS
    key_name: str = ""
    key: str = field(default="", repr=False)
    signature: str = field(default="", repr=False)
    entity: str = ""  #: the only entity that the key is good for; "" for all

    @property
    def is_placeholder(self) -> bool:
        """Whether it is an emulator's string in which nobody has put a key."""
        return self.is_emulator and self.key in _PLACEHOLDERS


def parse(text: str) -> ConnectionString:
    """Read a connection string; names of parts in any letter case. Raises ValueError, whose text has no secret."""
    parts = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError("it is not a connection string: it has a part without =")
        parts[name.strip().lower()] = value.strip()
    host, port = _endpoint(parts.get("endpoint", ""))
    is_emulator = parts.get("usedevelopmentemulator", "").lower() == "true"
    found = ConnectionString(
        host=host,
        port=port or (EMULATOR_PORT if is_emulator else TLS_PORT),
        is_emulator=is_emulator,
        key_name=parts.get("sharedaccesskeyname", ""),
        key=parts.get("sharedaccesskey", ""),
        signature=parts.get("sharedaccesssignature", ""),
        entity=parts.get("entitypath", ""),
    )
    if not (found.signature or (found.key_name and found.key)):
        raise ValueError("its connection string needs SharedAccessKeyName and SharedAccessKey, or SharedAccessSignature")
    return found


def _endpoint(text: str) -> tuple[str, int]:
    try:
        address = urlsplit(text)
        host, port = address.hostname or "", address.port or 0
    except ValueError:
        host, port = "", 0
    if not host:
        raise ValueError("its connection string needs Endpoint=sb://NAMESPACE.servicebus.windows.net/")
    return host, port
