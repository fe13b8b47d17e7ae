"""Function keys, and the file that tells them to the bridge."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

HEADER = "x-functions-key"
QUERY = "code"

Entry = Mapping[str, str | int]
"""`{url, key, pid, worker}`: where an app answers, its key, the host's process id, and what runs the functions."""


def make() -> str:
    """A key that cannot be guessed."""
    return secrets.token_urlsafe(32)


def opens(key: str, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
    """Whether the request brings `key`, in a time that does not tell how much of it is right."""
    presented = headers.get(HEADER) or query.get(QUERY) or ""
    return hmac.compare_digest(presented.encode(), key.encode())


class KeyFile:
    """`functions.json`: URL and key of each app that is ready; only its owner can read it."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "functions.json"
        self._entries: dict[str, Entry] = {}

    def add(self, app: str, entry: Entry) -> None:
        """Tell that an app is ready. Readers see the whole file, before or after."""
        self._entries[app] = entry
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f".functions.json.{os.getpid()}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(self._entries, file, indent=2)
        draft.replace(self._path)

    def remove(self) -> None:
        """Forget every app, unless another host has written the file since."""
        try:
            kept = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return
        if kept == self._entries:
            self._path.unlink(missing_ok=True)
