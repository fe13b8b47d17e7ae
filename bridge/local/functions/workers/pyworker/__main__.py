"""`python -m pyworker`, started by the host with the folder above as its working directory."""

from __future__ import annotations

import asyncio
import os
import sys

from .serving import serve
from .wire import Wire


def main() -> None:
    """Take over standard input and output, then serve until the input closes."""
    wire = Wire.over_stdio()
    here = os.getcwd()  # noqa: PTH109 - compared with sys.path, which holds strings
    # The app must find its own modules first, and none of the worker's.
    sys.path[:] = [entry for entry in sys.path if entry not in ("", here)]
    asyncio.run(serve(wire))


if __name__ == "__main__":
    main()
