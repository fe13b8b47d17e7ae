from __future__ import annotations

import os
import re
import signal
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from bridge.local import freeports

# A shell starts what it runs in the background with Ctrl-C ignored, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Read when grpc is imported: processes are started while it serves, as the functions host does, and none of them uses it.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# How long one example takes says how busy the machine is.
settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker of pytest-xdist ports of its own.

    A port that was chosen stays free until its program listens there; meanwhile another worker might choose it, too.
    """
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        number, workers = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        every = freeports._candidates
        freeports._candidates = lambda: (port for port in every() if port == 0 or port % workers == number)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why tests were skipped, in one line for each reason with the number of tests."""
    skipped = Counter(_reason(report) for report in terminalreporter.getreports("skipped"))
    if skipped:
        terminalreporter.section("skipped tests")
    for reason, count in skipped.most_common():
        terminalreporter.write_line(f"{count:5}  {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return re.sub(r"\s+", " ", told.removeprefix("Skipped: ")).strip()
