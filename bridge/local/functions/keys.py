"""Function keys, and the file in which the bridge finds them."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError
from bridge.files import privatefile, textfile

HEADER = "x-functions-key"
QUERY = "code"

AppEntry = Mapping[str, Any]
"""`{url, key, masterKey, pid, worker, routes?, problem?}`: where an app answers, its keys, the host's process id, what runs the functions,
their routes (`routelist`), and why none of them runs."""


class KeyAccess(IntEnum):
    """What the key of a request opens. `MASTER` opens everything."""

    NOTHING = 0
    OTHER_KEY = 1  #: a key of this app, but not for what is asked
    GRANTED = 2
    MASTER = 3


@dataclass(frozen=True, slots=True)
class AppKeys:
    """The keys of one app, under the names that Azure has for them. `functions` holds those of single functions by lower-case name."""

    master: str
    host: tuple[str, ...]
    system: tuple[str, ...] = ()
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict, repr=False)  #: of the keys in key files, by their value

    def access(self, headers: Mapping[str, str], query: Mapping[str, str], level: str, function: str = "") -> KeyAccess:
        """What the key in the request gives at an auth level. The time this takes does not depend on how much of a key is right."""
        shown = self._presented(headers, query)
        own = self.functions.get(function.lower(), ())
        is_master, is_host, is_system, is_own = (_among(shown, each) for each in ((self.master,), self.host, self.system, own))
        if is_master:
            return KeyAccess.MASTER
        if level == "anonymous" or (level == "function" and (is_host or is_own)) or (level == "system" and is_system):
            return KeyAccess.GRANTED
        return KeyAccess.OTHER_KEY if is_host or is_system else KeyAccess.NOTHING

    def _presented(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        """The key in the request; of several the first. A key of this app may have a comma in itself."""
        whole = presented(headers, query)
        first, comma, _ = whole.partition(",")
        every = (self.master, *self.host, *self.system, *(key for keys in self.functions.values() for key in keys))
        return whole if not comma or _among(whole, every) else first

    def shown(self, headers: Mapping[str, str], query: Mapping[str, str], function: str) -> tuple[str, str] | None:
        """The auth level of the key in a request to a function, and the key's name; None for no key of this app."""
        given = self._presented(headers, query)
        levels = {"Admin": (self.master,), "Function": (*self.host, *self.functions.get(function.lower(), ())), "System": self.system}
        level = next((name for name, known in levels.items() if given and _among(given, known)), "")
        usual = "master" if level == "Admin" else "default"
        return (level, self.names.get(given, usual)) if level else None


def made() -> AppKeys:
    """New keys that cannot be guessed."""
    return AppKeys(make(), (make(),))


def of_folder(folder: Path) -> AppKeys:
    """The keys in the key files of an app, as Azure writes them: `host.json`, and `<function>.json` in lower case.

    New ones if there are none.

    Raises ConfigurationError for a file that cannot be read.
    """
    if not (folder / "host.json").exists():
        return made()
    named = {file.stem: _read_keys(file) for file in sorted(folder.glob("*.json"))}
    host = named.pop("host")
    functions = {name: _values(content.get("keys")) for name, content in named.items()}
    master = _values([host.get("masterKey")])
    host_keys = _values(host.get("functionKeys")) or (make(),)
    names = {value: name for content in (host, *named.values()) for value, name in _names(content)}
    return AppKeys(master[0] if master else make(), host_keys, _values(host.get("systemKeys")), functions, names)


def _names(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Value and name of each key in a key file."""
    lists = [each if isinstance(each, list) else [each] for each in content.values()]
    for key in (key for keys in lists for key in keys if isinstance(key, dict)):
        if isinstance(value := key.get("value"), str) and isinstance(name := key.get("name"), str):
            yield value, name


def _read_keys(file: Path) -> dict[str, Any]:
    try:
        content = textfile.read_json(file)
    except (OSError, ValueError) as problem:
        raise ConfigurationError([f"{file} cannot be read: {problem}. Fix it, or remove it for new keys."]) from None
    if not isinstance(content, dict):
        raise ConfigurationError([f"{file} must hold one JSON object, as Azure writes its key files."])
    return content


def _values(found: object) -> tuple[str, ...]:
    """The values of the keys in a list; one that Azure has encrypted cannot be used here."""
    listed = found if isinstance(found, list) else []
    usable = [
        each["value"] for each in listed if isinstance(each, dict) and isinstance(each.get("value"), str) and not each.get("encrypted")
    ]
    return tuple(each for each in usable if each)


def presented(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The key that a request shows: the header's, even if it is empty, else `code` of the query in any letter case."""
    sent = headers.get(HEADER)
    return sent if sent is not None else next((value for name, value in query.items() if name.lower() == QUERY), "")


def _among(shown: str, known: Iterable[str]) -> bool:
    # Bytes of a header that are no UTF-8 come as lone surrogates, which a plain `encode` refuses.
    encoded = shown.encode("utf-8", "surrogateescape")
    fits = [hmac.compare_digest(encoded, each.encode()) for each in known]  # each is compared, whether one before it fits or not
    return any(fits)


def make() -> str:
    """A new key that cannot be guessed."""
    return secrets.token_urlsafe(32)


def opens(key: str, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
    """Whether the request carries `key`. The time this takes does not depend on how much of it is right."""
    return _among(presented(headers, query), (key,))


class KeyFile:
    """`functions.json`: URL and key of each app that is ready; only its owner can read it."""

    def __init__(self, data_dir: Path) -> None:
        self._path, self._starting_path = data_dir / "functions.json", data_dir / "functions-starting.json"
        self._starting: dict[str, int] = {}
        self._entries: dict[str, AppEntry] = {}
        self._one_is_ready = False

    def starting(self, apps: Iterable[str]) -> None:
        """Name the apps that are being loaded, so that calls wait for them, in `functions-starting.json`. Raises ConfigurationError."""
        self._starting = dict.fromkeys(apps, os.getpid())
        self._written(self._starting_path, self._starting)

    def add_stopped(self, app: str, entry: AppEntry) -> None:
        """Add an app that does not run. There is no file before one that does. Raises ConfigurationError."""
        self._entries[app] = entry
        if self._one_is_ready:
            self.add(app, entry)
        self._started(app)

    def add(self, app: str, entry: AppEntry) -> None:
        """Add an app that is ready. Readers see either the old file or the new one, never a half of it. Raises ConfigurationError."""
        self._entries[app], self._one_is_ready = entry, True
        self._written(self._path, self._entries)
        self._started(app)

    def _started(self, app: str) -> None:
        if self._starting.pop(app, None) is None:
            return
        if self._starting:
            self._written(self._starting_path, self._starting)
        else:
            self._starting_path.unlink(missing_ok=True)

    @staticmethod
    def _written(path: Path, content: Mapping[str, Any]) -> None:
        try:
            privatefile.write(path, json.dumps(content, indent=2))
        except OSError as fault:
            raise ConfigurationError([f"{path} cannot be written: {fault.strerror}. Name another folder with --data-dir."]) from None

    def remove(self) -> None:
        """Remove what this host has written, unless another host has written it since."""
        for path, content in ((self._path, self._entries), (self._starting_path, self._starting)):
            try:
                written = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if written == content:
                path.unlink(missing_ok=True)
