"""The host.json of a package: the app's own, or the common one merged with the app's `host.override.json`, as the local host does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bridge.local.functions import apphostjson, hostjson

FILE = "host.json"


@dataclass(frozen=True, slots=True)
class HostFile:
    """The content of the file, or the path to read it from."""

    content: Path | bytes
    origin: str  #: as people are told
    has_bundle: bool  #: whether Azure loads more than HTTP and timers with it, for all languages but C#


def of(app: Path, shared: Path) -> HostFile:
    """The file for the app in this folder. Raises ConfigurationError with what Azure's host would reject."""
    own = app / FILE
    if own.is_file():
        apphostjson.read(own, {})
        content = hostjson.read_object(own)
        return HostFile(own, "the app's own", not content or apphostjson.entry(content, "extensionBundle") is not None)
    merged, named = hostjson.merged(shared, app)
    hostjson.check(merged, named)
    return HostFile(f"{json.dumps(merged, indent=2)}\n".encode(), f"from {named}", "extensionBundle" in merged)
