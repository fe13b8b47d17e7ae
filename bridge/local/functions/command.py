"""The command line of the host."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bridge import crashpoints, telemetry
from bridge.errors import ConfigurationError
from bridge.local.functions import crashpoints as host_crashpoints
from bridge.local.functions import host
from bridge.local.functions.logfile import LogFile
from bridge.local.functions.options import CANNOT_START, START_REFUSED, Options


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    options = read(arguments)
    if options.log is not None:
        LogFile(options.log).take_over()
    telemetry.setup()
    try:
        crashpoints.arm(os.environ, variable=host_crashpoints.VARIABLE, points=host_crashpoints.CrashPoint)
        with asyncio.Runner(loop_factory=_new_loop()) as runner:
            runner.run(host.serve(options))
    except ConfigurationError as refused:
        sys.stderr.write(f"{CANNOT_START}{refused}\n")
        return START_REFUSED
    return 0


def _new_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make


def read(arguments: Sequence[str] | None) -> Options:
    """The options in `arguments`, or in the command line of the process."""
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m bridge.local.functions", description="Run function apps as Azure would.")
    parser.add_argument("--apps", type=Path, default=default.apps, help="folder with a function app in each subfolder (%(default)s)")
    parser.add_argument("--data-dir", type=Path, default=default.data_dir, help="where the bridge keeps its files (%(default)s)")
    parser.add_argument("--port", type=int, default=default.port, help="port of the first app, 0 for free ports (%(default)s)")
    parser.add_argument("--host-json", type=Path, default=default.host_json, help="settings shared by all apps (%(default)s)")
    parser.add_argument("--python", default=default.python, help="interpreter for Python apps (.venv-functions/bin/python)")
    parser.add_argument("--parent", type=int, default=default.parent, metavar="PID", help="stop when this process is gone")
    parser.add_argument(
        "--log", type=Path, default=default.log, metavar="FILE", help="log to this file, begun anew at 10 MB, one old one kept"
    )
    return Options(**vars(parser.parse_args(arguments)))
