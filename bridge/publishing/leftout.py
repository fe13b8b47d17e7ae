"""Decides which files of a function app are not published: files that are secret or unnecessary, and those that `.funcignore` names."""

from __future__ import annotations

import os
from pathlib import Path

from pathspec import GitIgnoreSpec

from bridge.errors import ConfigurationError
from bridge.files import textfile

FILE = ".funcignore"
#: No `.funcignore` brings these back: they hold secrets, or break the app in Azure.
_NEVER = frozenset({"local.settings.json", "__pycache__", ".git"})
#: Folders of which not even a file goes that a link names: the history may hold what was a secret, and a bridge keeps its keys and what
#: callers sent in its data directory, which is one of these two unless it is told another.
_PRIVATE = frozenset({".git", ".bridge", ".servicebus"})
#: Files by which a data directory is known under any name.
_OF_A_BRIDGE = ("bridge.lock", "bridge.db")
_NEVER_AT_THE_TOP = frozenset({FILE, "host.override.json"})
#: Rules of a usual `.funcignore`, which come before the app's own, so that `!tests` there brings that folder back.
_USUAL = (
    ".git*",
    ".vscode",
    ".idea",
    ".vs",
    ".DS_Store",
    ".env",
    ".env.*",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    "/tests",
    "/test",
    "/testdata",
    "/obj",
)


class LeftOut:
    """The rules for one app."""

    def __init__(self, app: Path, own: GitIgnoreSpec) -> None:
        self._app, self._rules = app, own

    @classmethod
    def of(cls, app: Path) -> LeftOut:
        """Read the rules of the app in this folder. Raises ConfigurationError for a `.funcignore` that cannot be read."""
        path = app / FILE
        if is_data_directory(app):
            told = f"{app} is the data directory of a bridge, too, and what it keeps there must not be published."
            raise ConfigurationError(
                [f"{told} Name another with data_dir, and move {', '.join(_OF_A_BRIDGE)} and what else the bridge has made out of here."]
            )
        functions = {f"/{each.parent.name}" for each in app.glob("*/function.json")}  # one may have the name of a folder of tests
        try:
            lines = textfile.read(path).splitlines() if path.is_file() else []
            return cls(app, GitIgnoreSpec.from_lines([*(each for each in _USUAL if each not in functions), *lines]))
        except (OSError, ValueError) as fault:
            raise ConfigurationError([f"{path} cannot be read: {fault}. It has the form of a .gitignore."]) from None

    def never(self, path: Path) -> bool:
        """Whether this file or folder, or the target of this link, is never published, whatever the app's rules are."""
        if not path.is_symlink():
            return self._stays(path)
        app, target = Path(os.path.realpath(self._app)), Path(os.path.realpath(path))  # which end where a link leads to itself, too
        around = [each for each in target.parents if each != app and each not in app.parents]
        return self._stays(path) or self._stays(target) or any(_is_private(each) for each in around)

    def _stays(self, path: Path) -> bool:
        if path.name in _NEVER or (path.name in _NEVER_AT_THE_TOP and path.parent.resolve() == self._app.resolve()):
            return True
        return path.is_dir() and (_is_private(path) or path.name == ".venv" or (path / "pyvenv.cfg").is_file())

    def ignores(self, name: str) -> bool:
        """Whether a rule names this file, by its path below the app's folder."""
        return self._rules.match_file(
            os.fsencode(name).decode(errors="replace")
        )  # a name need not be text, and some engines match only that


def is_data_directory(folder: Path) -> bool:
    """Whether a bridge keeps its files in this folder."""
    return any((folder / each).is_file() for each in _OF_A_BRIDGE)


def _is_private(folder: Path) -> bool:
    return folder.name in _PRIVATE or is_data_directory(folder)
