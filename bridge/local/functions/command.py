"""The command line of the functions host."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bridge import crashpoints
from bridge.errors import ConfigurationError
from bridge.files import packaged
from bridge.local.functions import crashpoints as host_crashpoints
from bridge.local.functions import host, hostlog
from bridge.local.functions.logfile import LogFile
from bridge.local.functions.options import CANNOT_START, START_REFUSED, Options


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal arrives; returns the exit code."""
    options = read(arguments)
    try:
        if options.log is not None:
            _log_to(options.log)
        hostlog.setup()
        crashpoints.arm(os.environ, set(host_crashpoints.HostCrashPoint), variable=host_crashpoints.VARIABLE)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(host.serve(options))
    except ConfigurationError as refused:
        sys.stderr.write(f"{CANNOT_START}{refused}\n")
        return START_REFUSED
    return 0


def _log_to(path: Path) -> None:
    try:
        LogFile(path).take_over()
    except OSError as fault:
        raise ConfigurationError([f"{path} cannot be written: {fault.strerror}. Name another file with --log."]) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, which is a number from 0 to 65535")
    return int(text)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make


def read(arguments: Sequence[str] | None) -> Options:
    """The options in `arguments`, or those of the command line if it is None."""
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m bridge.local.functions", description="Run function apps as Azure would.")
    parser.add_argument("--apps", type=Path, default=default.apps, help="folder with a function app in each subfolder (%(default)s)")
    parser.add_argument("--data-dir", type=Path, default=default.data_dir, help="where the bridge keeps its files (%(default)s)")
    parser.add_argument("--port", type=_port, default=default.port, help="port of the first app, 0 for free ports (%(default)s)")
    parser.add_argument("--host-json", type=Path, default=default.host_json, help="settings shared by all apps (%(default)s)")
    parser.add_argument("--python", default=default.python, help="interpreter for Python apps (.venv-functions/bin/python)")
    parser.add_argument("--parent", type=int, default=default.parent, metavar="PID", help="stop when this process is gone")
    parser.add_argument(
        "--log", type=Path, default=default.log, metavar="FILE", help="log to this file, rotated at 10 MB, keeping one old file"
    )
    parser.add_argument(
        "--servicebus-namespace",
        default=default.servicebus_namespace,
        metavar="HOST",
        help="namespace that functions without a connection of their own use, with the identity of this process",
    )
    parser.add_argument(
        "--servicebus-connection-string-file",
        type=Path,
        default=default.servicebus_connection_string_file,
        metavar="FILE",
        help="the same by a connection string; without either they use the bridge's queue in --data-dir",
    )
    parser.add_argument(
        "--public-url",
        default=default.public_url,
        metavar="URL",
        help="the bridge's public_url: its calls and messages are told why a function failed, and end at their deadline",
    )
    parser.add_argument(
        "--timers",
        action="store_true",
        help="run timer functions on their schedules, in UTC or the time zone in TZ; otherwise only by hand",
    )
    found = Options(**vars(parser.parse_args(arguments)))
    return replace(found, host_json=packaged.instead_of(found.host_json, "host.json")) if found.host_json == default.host_json else found
