"""The log of each app: what the host's log has of it, in a file of its own that does not grow for ever.

A line of the host's log is an app's if its first argument is the name of the app or its folder, as all of them are that tell of one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from bridge.local.functions.apps import AppFolder
from bridge.local.functions.logfile import LARGEST


class AppLogs(logging.Handler):
    """Writes to `<folder of the app>.log` below `folder`; at its largest size it becomes `.log.1`, in the place of the one before."""

    def __init__(self, folder: Path, apps: Iterable[AppFolder], form: logging.Formatter | None, largest: int = LARGEST) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__()
        self._files: dict[object, _AppLog] = {}
        for app in apps:
            file = _AppLog(folder / f"{app.directory.name}.log", largest)
            file.setFormatter(form)
            self._files[app.name] = self._files[str(app.directory)] = file

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, if it tells of an app."""
        first = record.args[0] if isinstance(record.args, tuple) and record.args else None
        file = self._files.get(first if isinstance(first, str) else str(first) if isinstance(first, Path) else None)
        if file is not None:
            file.handle(record)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        super().close()


class _AppLog(logging.Handler):
    """A file that only its owner can read; it is made with the first line.

    logging's own RotatingFileHandler looks the file up twice and formats a line once more before it writes it, for each call of a function.
    """

    def __init__(self, path: Path, largest: int) -> None:
        super().__init__()
        self._path, self._largest = path, largest
        self._file: FileIO | None = None
        self._size = 0  #: bytes in the file

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. A line that cannot be written is left out: the host's own log has it."""
        line = f"{self.format(record)}\n".encode(errors="backslashreplace")
        with suppress(OSError):
            file = self._file or self._opened()
            if self._size + len(line) > self._largest and self._size:
                file.close()
                self._file = None
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                file = self._opened()
            self._size += file.write(line)

    def _opened(self) -> FileIO:
        self._file = file = FileIO(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a")
        self._size = os.fstat(file.fileno()).st_size
        return file

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()
