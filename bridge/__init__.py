"""One entry point for hundreds of automations.

The names below are the public API of the package: the client of a running bridge, what it answers and what it raises.

    from bridge import BridgeClient

    async with BridgeClient("http://127.0.0.1:8080") as bridge:
        run = await bridge.submit("certificate.inspect", {"pem": pem}, wait=20)

They are imported when they are first used, so that `import bridge` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.client import (
        AttemptView,
        AuditReportView,
        AutomationView,
        BridgeClient,
        ConfigurationView,
        DeadLetterQuery,
        DeadLetterView,
        InvocationView,
        MissingView,
        Problem,
        Replayed,
        RunErrorView,
        RunView,
        Unreachable,
    )

__all__ = [
    "AttemptView",
    "AuditReportView",
    "AutomationView",
    "BridgeClient",
    "ConfigurationView",
    "DeadLetterQuery",
    "DeadLetterView",
    "InvocationView",
    "MissingView",
    "Problem",
    "Replayed",
    "RunErrorView",
    "RunView",
    "Unreachable",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("bridge.client"), name)
    raise AttributeError(f"module 'bridge' has no attribute {name!r}")
