"""`python -m pyworker`, started by the host with the folder above as its working directory."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys

from .serving import serve
from .threads import WorkerLoop
from .wire import Wire


def main() -> None:
    """Take over standard input and output, then serve until the input closes."""
    wire = Wire.over_stdio()
    faulthandler.enable()  # a crash in native code says where, on standard error
    here = os.getcwd()  # noqa: PTH109 - compared with sys.path, which holds strings
    # The app must find its own modules first, and none of the worker's.
    sys.path[:] = [entry for entry in sys.path if entry not in ("", here)]
    with asyncio.Runner(loop_factory=WorkerLoop) as runner:
        runner.run(serve(wire))


if __name__ == "__main__":
    main()
