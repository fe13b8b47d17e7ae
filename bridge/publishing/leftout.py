"""Which files of a function app stay at home: what Azure must not get, what it does not need, and what `.funcignore` names."""

from __future__ import annotations

from pathlib import Path

from pathspec import GitIgnoreSpec

from bridge.errors import ConfigurationError
from bridge.files import textfile

FILE = ".funcignore"
#: No `.funcignore` brings these back: they hold secrets, or break the app in Azure.
_NEVER = frozenset({"local.settings.json", "__pycache__", ".git"})
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
        functions = {f"/{each.parent.name}" for each in app.glob("*/function.json")}  # one may have the name of a folder of tests
        try:
            lines = textfile.read(path).splitlines() if path.is_file() else []
            return cls(app, GitIgnoreSpec.from_lines([*(each for each in _USUAL if each not in functions), *lines]))
        except (OSError, ValueError) as fault:
            raise ConfigurationError([f"{path} cannot be read: {fault}. It has the form of a .gitignore."]) from None

    def never(self, path: Path) -> bool:
        """Whether this file or folder stays at home whatever the app says."""
        if path.name in _NEVER or (path.parent == self._app and path.name in _NEVER_AT_THE_TOP):
            return True
        return path.is_dir() and (path.name == ".venv" or (path / "pyvenv.cfg").is_file())

    def ignores(self, name: str) -> bool:
        """Whether a rule names this file, by its path below the app's folder."""
        return self._rules.match_file(name)
