"""What `bridge new automation` lets one choose, and where it writes. The command line needs it before anything else is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ScaffoldLanguage(StrEnum):
    """What the function is written in."""

    PYTHON = "python"
    POWERSHELL = "powershell"
    GO = "go"


class ScaffoldTrigger(StrEnum):
    """What starts the function."""

    HTTP = "http"
    TOPIC = "topic"


@dataclass(frozen=True)
class Places:
    """Where the project has its files."""

    functions: Path
    catalogue: Path
    entities: Path
