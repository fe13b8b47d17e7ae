"""The data directory: only this user may open it, and only one process at a time may use it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bridge.errors import ConfigurationError

LOCK_FILE = "bridge.lock"
_BEHIND_THE_TEXT = 4096  #: bytes; on Windows nobody can read a locked range, so the range lies behind the process id

# `filelock` is not used: its lock on an open file does not name the process that has it, its lock that does is a file that outlives a
# crash, and with both a second process gets in as soon as somebody deletes the lock file.


@contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Make the directory if it is missing, and lock it until the end of the block. The lock of a process that dies is released.

    Raises ConfigurationError if another process has the lock, or if the directory cannot be written.
    """
    with ExitStack() as opened:
        try:
            _make(path)
            descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError([f"data_dir {path}: cannot be written ({error.strerror}); choose another with --data-dir."]) from None
        opened.callback(os.close, descriptor)
        try:
            _lock_file(descriptor)
            _lock_directory(path, opened)
        except BlockingIOError:
            raise _in_use(path, descriptor) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield path


def _make(path: Path) -> None:
    """Make the directory if it is missing. Its name must be on the disk before anything in it counts as stored."""
    if path.exists():
        return
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32":
        parent = os.open(path.parent, os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)


def _in_use(path: Path, descriptor: int) -> ConfigurationError:
    holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
    return ConfigurationError(
        [f"data_dir {path}: is in use by the bridge with process id {holder}; stop that one, or choose another with --data-dir."]
    )


if sys.platform == "win32":
    import msvcrt

    def _lock_file(descriptor: int) -> None:
        """Raises BlockingIOError if another process has the lock."""
        os.lseek(descriptor, _BEHIND_THE_TEXT, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

    def _lock_directory(_path: Path, _opened: ExitStack) -> None:
        """Windows deletes no file that is open, so the lock on the file is enough."""

else:
    import fcntl

    def _lock_file(descriptor: int) -> None:
        """Raises BlockingIOError if another process has the lock."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BlockingIOError from error

    def _lock_directory(path: Path, opened: ExitStack) -> None:
        """Somebody may delete the lock file of a running bridge; the lock on the directory remains."""
        descriptor = os.open(path, os.O_RDONLY)
        opened.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # some network file systems lock files only
