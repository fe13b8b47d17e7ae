"""Which namespace a function's `connection` means. Decides only; the settings are those of the app.

Azure looks for the setting under three names and, by parts, in a section (Azure Functions, "Configure connections in your code"). On a
laptop nobody has put a real string there: then the functions use the broker that the bridge was told of, else the bridge's own queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bridge.local.functions.servicebus import connectionstring
from bridge.local.functions.servicebus.namespaces import FileNamespace, IdentityNamespace, NamedNamespace, NamespaceSource, own_queue

USUAL = "ServiceBus"  #: the connection of a binding that names none, as in Azure
_NAMESPACE = "fullyqualifiednamespace"


class BrokerInSettings(NamedTuple):
    """The bridge's setting `servicebus`: the host name of a namespace, or a file with a connection string. Both empty: not set."""

    namespace: str = ""
    connection_string_file: Path | None = None


class Connection(NamedTuple):
    """The namespace of a connection, and why it is that one, in words for the log."""

    source: NamespaceSource
    why: str


def choose(name: str, settings: Mapping[str, str], broker: BrokerInSettings, data_dir: Path) -> Connection:
    """The namespace that the connection `name` means. Raises ValueError with what is wrong with its setting; no text has a secret."""
    name = name or USUAL
    section = _section(name, settings)
    if namespace := section.pop(_NAMESPACE, ""):
        return Connection(IdentityNamespace(namespace, tuple(sorted(section.items()))), f"as {name}__fullyQualifiedNamespace says")
    found = next(
        (key for key in (f"ConnectionStrings:{name}", f"ConnectionStrings__{name}", name, f"AzureWebJobs{name}") if settings.get(key)), ""
    )
    if not found:
        return _fallback(broker, data_dir, f"{name} is not set")
    try:
        text = connectionstring.parse(settings[found])
    except ValueError as fault:
        raise ValueError(f"has the connection {name}, which cannot be used: {fault}") from None
    if text.is_placeholder:
        return _fallback(broker, data_dir, f"{name} is an emulator's string without a key of its own")
    return Connection(NamedNamespace(text), f"as {found} says")


def _section(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings below the connection, `NAME__part` or `NAME:part`, by the part in lower case."""
    return {
        key[len(prefix) :].lower(): value
        for prefix in (f"{name}__", f"{name}:")
        for key, value in settings.items()
        if key.startswith(prefix) and value
    }


def _fallback(broker: BrokerInSettings, data_dir: Path, reason: str) -> Connection:
    if broker.namespace:
        return Connection(IdentityNamespace(broker.namespace), f"{reason}, and the setting servicebus names it")
    if broker.connection_string_file is not None:
        return Connection(FileNamespace(broker.connection_string_file), f"{reason}, and the setting servicebus names it")
    return Connection(own_queue(data_dir), f"{reason}, so it is the bridge's own queue")
