"""Standard output and error of this process as a file that does not grow for ever."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

LARGEST = 10_000_000  #: bytes; it may grow a little beyond before the next check


class LogFile:
    """A log of mode 0600. At `largest` bytes it becomes `<name>.old`, in the place of the one before, and a new one is begun.

    The descriptors themselves change, so nothing that writes to them need know, and no line is lost.
    """

    def __init__(self, path: Path, largest: int = LARGEST) -> None:
        self._path, self._largest = path, largest

    def take_over(self) -> None:
        """Send standard output and standard error to this file."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(opened, descriptor)
        os.close(opened)
        self.keep_small()

    def keep_small(self) -> None:
        """Begin a new file if this one has become too large."""
        if os.fstat(2).st_size >= self._largest:
            with suppress(FileNotFoundError):
                self._path.replace(self._path.with_name(f"{self._path.name}.old"))
            self.take_over()
