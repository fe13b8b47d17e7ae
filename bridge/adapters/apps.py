"""Where function apps are, and their keys: from the settings, or from the file that the local functions host writes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from bridge.errors import CallFailed
from bridge.settings import FunctionApp

FILE = "functions.json"  #: in the data folder; `{app: {url, key, …}}`, replaced as a whole whenever a host starts


@dataclass(frozen=True, slots=True)
class App:
    """One function app. Without a key none is sent."""

    url: str
    key: str = field(default="", repr=False)


class Apps:
    """Looks apps up by name. Files are read again when they change, so that a new key or a restarted host is found."""

    def __init__(self, configured: Mapping[str, FunctionApp], data_dir: Path, environ: Mapping[str, str]) -> None:
        self._configured, self._local, self._environ = configured, data_dir / FILE, environ
        self._read: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def find(self, name: str) -> App:
        """The app of that name, the settings first. Raises CallFailed(UnknownApp)."""
        configured = self._configured.get(name)
        return self._hosted(name) if configured is None else App(configured.url, self._key(name, configured))

    def expected(self, name: str) -> bool:
        """Whether only the local host can tell of the app, and none is running at the moment."""
        if name in self._configured:
            return False
        try:
            process = next(iter(json.loads(self._text(self._local)).values()))["pid"]
            os.kill(process, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        except (OSError, OverflowError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
            return False
        return False

    def forget(self) -> None:
        """Read every file again, whatever its time says."""
        self._read.clear()

    def _key(self, name: str, app: FunctionApp) -> str:
        if app.key_env is not None:
            key = self._environ.get(app.key_env, "").strip()
            return key or _unknown(f"The key of {name} cannot be read: the variable {app.key_env} is not set.")
        if app.key_file is None:
            return ""
        try:
            key = self._text(app.key_file).strip()
        except (OSError, ValueError) as fault:
            _unknown(f"The key of {name} cannot be read: {app.key_file}, {_why(fault)}.")
        return key or _unknown(f"The key of {name} cannot be read: {app.key_file} is empty.")

    def _hosted(self, name: str) -> App:
        try:
            entry = json.loads(self._text(self._local))[name]
            return App(str(entry["url"]).rstrip("/"), str(entry.get("key", "")))
        except OSError:
            return _unknown(f"No function app named {name!r} is configured, and no local functions host is running.")
        except (ValueError, KeyError, TypeError, AttributeError):
            return _unknown(f"No function app named {name!r} is configured, and {self._local} does not name it.")

    def _text(self, path: Path) -> str:
        stat = path.stat()
        mark = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        known = self._read.get(path)
        if known is None or known[0] != mark:
            known = self._read[path] = (mark, path.read_text("utf-8"))
        return known[1]


def _unknown(detail: str) -> NoReturn:
    raise CallFailed("UnknownApp", detail, may_have_run=False)


def _why(fault: Exception) -> str:
    return fault.strerror or "unreadable" if isinstance(fault, OSError) else "not UTF-8"
