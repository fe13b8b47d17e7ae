"""Prints what a bridge shows on /metrics right after its start, and after its first dead letter and its first failed run.

A program of its own, because the metrics of a process stay.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from prometheus_client import generate_latest

from bridge import telemetry
from bridge.app import open_bridge
from bridge.settings import Settings

AUTOMATION = "table.summarize"  #: of the catalogue of this repository


async def main(data_dir: Path) -> None:
    """Start a bridge in `data_dir`, have something go wrong, and print both states as a JSON list."""
    telemetry.setup()  # log lines go to standard error
    async with open_bridge(Settings(data_dir=data_dir), {}):
        started = _shown()
        telemetry.DEAD_LETTERS.labels("GaveUp").inc()
        telemetry.ended(AUTOMATION, "Failed", 1.5, "r-1")
        print(json.dumps([started, _shown()]))  # noqa: T201


def _shown() -> str:
    return generate_latest(telemetry.REGISTRY).decode()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
