"""Says what Python sees of the machine that it runs on. One side of `fleet.inventory`, no Azure in here."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import Any


def runtime(value: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - the other side takes what the input asks for
    """Version of Python, operating system, processors, load (mean number of processes that want one, over a minute) and packages."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "packages": len({each.name for each in importlib.metadata.distributions()}),
    }
