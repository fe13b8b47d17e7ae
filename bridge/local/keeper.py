"""`python -m bridge.local.keeper PARENT LOG PROGRAM ARGUMENT…`: runs a program that does not watch its parent.

This process ends the program when the process PARENT is gone, however that ended, and bounds the size of its LOG. It exits with the
program's exit code. On Linux the program ends even if this process is killed.
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

CHECK = 0.25  #: seconds between two checks that the parent is there
GRACE = 5.0  #: seconds between SIGTERM and SIGKILL
_PR_SET_PDEATHSIG = 1  # prctl(2)


def main(parent: int, log: Path, command: list[str]) -> int:
    """Run the program to its end and return its exit code."""
    log_file = LogFile(log)
    log_file.take_over()
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=ending_with(os.getpid()),  # noqa: PLW1509 - this process has no other thread that could hold a lock
    ) as program:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: program.send_signal(received))
        own = os.getppid()
        _copy(program, log_file, lambda: os.getppid() == own and exists(parent))
        return _ended(program)


def ending_with(keeper: int, number: int = signal.SIGTERM) -> Callable[[], None] | None:
    """What a child runs before it becomes the program, so that the kernel ends it with its keeper. Only Linux can do that."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here, because a child that has only been forked should do little

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != keeper:  # it has ended before the kernel was told
            os.kill(os.getpid(), number)

    return tie


def _copy(program: subprocess.Popen[bytes], log: LogFile, wanted: Callable[[], bool]) -> None:
    """Copy the program's output to the log until the program ends or is no longer wanted."""
    assert program.stdout is not None  # noqa: S101 - it is a pipe
    with selectors.DefaultSelector() as selector:
        selector.register(program.stdout, selectors.EVENT_READ)
        while wanted():
            if selector.select(CHECK):
                output = os.read(program.stdout.fileno(), 2**16)
                if not output:
                    return
                os.write(2, output)
                log.keep_small()


def _ended(program: subprocess.Popen[bytes]) -> int:
    if program.poll() is None:
        program.terminate()
    try:
        return program.wait(GRACE)
    except subprocess.TimeoutExpired:
        program.kill()
        return program.wait()


def exists(process: int) -> bool:
    """Whether there is a process with this id, be it somebody else's."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
