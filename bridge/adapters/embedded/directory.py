"""The data directory: made for this user only, and held by one process at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.errors import ConfigurationError

LOCK_FILE = "bridge.lock"
_BEHIND_THE_TEXT = 4096  #: bytes; Windows lets nobody read a locked range, so the range lies behind the process id


@contextmanager
def held(path: Path) -> Iterator[Path]:
    """Make the directory if need be and hold it until the end of the block.

    Raises ConfigurationError if another process holds it or if it cannot be written. A process that dies lets go of it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as fault:
        raise ConfigurationError([f"data_dir {path}: cannot be written ({fault.strerror}); choose another with --data-dir."]) from None
    try:
        _take(descriptor, path)
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield path
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    try:
        _lock(descriptor)
    except OSError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        raise ConfigurationError(
            [f"data_dir {path}: is in use by the bridge with process id {holder}; stop that one, or choose another with --data-dir."]
        ) from None


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _BEHIND_THE_TEXT, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
