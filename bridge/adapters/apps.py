"""Finds the URL and the key of a function app, in the settings or in the file that the local functions host writes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from bridge.adapters import servedpaths
from bridge.errors import CallFailed
from bridge.files import textfile
from bridge.settings import FunctionApp

FILE = "functions.json"  #: in the data directory; `{app: {url, key, …}}`, replaced as a whole whenever a host starts
STARTING = "functions-starting.json"  #: beside it, while apps load: `{app: process id of their host}`


@dataclass(frozen=True, slots=True)
class App:
    """The URL of one function app, and its key. If the key is empty, none is sent."""

    url: str
    key: str = field(default="", repr=False)


class Apps:
    """Finds apps by name. Files are read again when they change, so that a new key or a restarted host is noticed."""

    def __init__(self, configured: Mapping[str, FunctionApp], data_dir: Path, environ: Mapping[str, str]) -> None:
        self._configured, self._local, self._environ = configured, data_dir / FILE, environ
        self._starting = data_dir / STARTING
        self._read: dict[Path, tuple[tuple[int, int, int], Any]] = {}

    def find(self, name: str) -> App:
        """The app of this name, from the settings if they have it. Raises CallFailed(UnknownApp)."""
        configured = self._configured.get(name)
        if configured is None:
            return self._hosted(name)
        if configured.url is None:
            _unknown(f"{name} is behind a sidecar ({configured.app_id}), and the bridge has none of its own.")
        return App(configured.url, self._key(name, configured))

    def expected(self, name: str) -> bool:
        """Whether the app can only come from a local functions host, and none is running at the moment."""
        if name in self._configured:
            return False
        try:
            process = next(iter(self._json(self._local).values()))["pid"]
            os.kill(process, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        except (OSError, OverflowError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
            return False
        return False

    def starting(self, name: str) -> bool:
        """Whether the local functions host is loading the app: a worker is started, perhaps an environment is made first."""
        try:
            process = self._json(self._starting)[name]
            os.kill(process, 0)
        except (OSError, OverflowError, ValueError, KeyError, TypeError):
            return False
        return name not in self._configured

    def unserved(self, name: str, method: str, path: str) -> str:
        """Why nobody answers at a path of the app; empty if somebody may, or the app is elsewhere and not known."""
        if name in self._configured or self.starting(name):
            return ""
        if self.expected(name):
            return f"no local functions host is running, and function_apps in the settings does not name {name}"
        try:
            entry = self._json(self._local).get(name)
            if entry is None:
                return f"the local functions host has no app {name} that is ready, and function_apps in the settings does not name it"
            return servedpaths.why_not(name, entry, method, path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return ""

    def forget(self) -> None:
        """Read every file again at the next look-up, even if it seems unchanged."""
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
            entry = self._json(self._local)[name]
            return App(str(entry["url"]).rstrip("/"), str(entry.get("key", "")))
        except OSError:
            return _unknown(f"No function app named {name!r} is configured, and no local functions host is running.")
        except (ValueError, KeyError, TypeError, AttributeError):
            return _unknown(f"No function app named {name!r} is configured, and {self._local} does not name it.")

    def _json(self, path: Path) -> Any:
        return self._content(path, lambda: json.loads(textfile.read(path)))

    def _text(self, path: Path) -> str:
        return str(self._content(path, lambda: textfile.read(path)))

    def _content(self, path: Path, read: Callable[[], Any]) -> Any:
        """What was read of a file, until it changes: each call asks for its app, and a look for targets that nobody serves for all."""
        stat = path.stat()
        mark = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        cached = self._read.get(path)
        if cached is None or cached[0] != mark:
            cached = self._read[path] = (mark, read())
        return cached[1]


def _unknown(detail: str) -> NoReturn:
    raise CallFailed("UnknownApp", detail, may_have_run=False)


def _why(fault: Exception) -> str:
    return fault.strerror or "unreadable" if isinstance(fault, OSError) else "not UTF-8"
