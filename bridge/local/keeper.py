"""`python -m bridge.local.keeper PARENT LOG PROGRAM ARGUMENT…`: runs a program that knows nothing of its parent.

Ends it when the process PARENT is gone, however that ended, and keeps its LOG small. Exits as the program does. On Linux the program ends
even if this process is killed.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.local.functions.logfile import LogFile

LOOK = 0.25  #: seconds between two looks for the parent
GRACE = 5.0  #: seconds between SIGTERM and SIGKILL
_PR_SET_PDEATHSIG = 1  # prctl(2)


def main(parent: int, log: Path, command: list[str]) -> int:
    """Run the program to its end; the exit code."""
    kept = LogFile(log)
    kept.take_over()
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_tied_to(os.getpid()),  # noqa: PLW1509 - this process has no other thread that could hold a lock
    ) as program:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda told, _frame: program.send_signal(told))
        own = os.getppid()
        _copy(program, kept, lambda: os.getppid() == own and _there(parent))
        return _ended(program)


def _tied_to(keeper: int) -> Callable[[], None] | None:
    """What a child runs before it becomes the program, so that the kernel ends it with its keeper; nothing where that is not Linux."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: a child that has only been forked should do little

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != keeper:  # it has ended before the kernel was told
            os.kill(os.getpid(), signal.SIGTERM)

    return tie


def _copy(program: subprocess.Popen[bytes], log: LogFile, wanted: Callable[[], bool]) -> None:
    """What the program says goes to the log, until it ends or nobody wants it any more."""
    assert program.stdout is not None  # noqa: S101 - it is a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(program.stdout, selectors.EVENT_READ)
        while wanted():
            if selector.select(LOOK):
                said = os.read(program.stdout.fileno(), 2**16)
                if not said:
                    return
                os.write(2, said)
                log.keep_small()


def _ended(program: subprocess.Popen[bytes]) -> int:
    if program.poll() is None:
        program.terminate()
    try:
        return program.wait(GRACE)
    except subprocess.TimeoutExpired:
        program.kill()
        return program.wait()


def _there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
