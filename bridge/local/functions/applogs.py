"""The log of each app: what the host's log has of it, in a file of its own that does not grow for ever.

A line of the host's log is an app's if its first argument is the name of the app or its folder, as all of them are that tell of one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
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


class _AppLog(RotatingFileHandler):
    """A file that only its owner can read; it is made with the first line."""

    def __init__(self, path: Path, largest: int) -> None:
        super().__init__(path, maxBytes=largest, backupCount=1, encoding="utf-8", errors="backslashreplace", delay=True)

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Leave out a line that cannot be written: the host's own log has it."""
