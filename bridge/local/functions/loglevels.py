"""`logging.logLevel` of host.json: which lines of functions reach the log, by the category that Azure gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.local.functions import apphostjson

CONSOLE = "Host.Function.Console"  #: category of what functions and workers write to standard output and standard error
_ORDER = ("trace", "debug", "information", "warning", "error", "critical", "none")
_SHORT = {"info": "information"}
_DEFAULT, _USUAL = "default", "information"


class LogLevels:
    """The lowest level of each category that is logged. The longest name that the category begins with counts."""

    def __init__(self, content: Mapping[str, Any] | None = None) -> None:
        """`content` is host.json; levels are names in any letter case, or numbers from 0 to 6."""
        given = apphostjson.entry(content or {}, "logging", "logLevel")
        self._lowest = {str(name).lower(): _number(str(level)) for name, level in (given if isinstance(given, dict) else {}).items()}
        self._found: dict[str, int] = {}

    def shows(self, category: str, level: str) -> bool:
        """Whether a line of the category with this level is logged."""
        if category not in self._found:
            self._found[category] = self._of(category.lower())
        return _number(level) >= self._found[category]

    def _of(self, category: str) -> int:
        named = [name for name in self._lowest if name != _DEFAULT and category.startswith(name)]
        return self._lowest[max(named, key=len)] if named else self._lowest.get(_DEFAULT, _ORDER.index(_USUAL))


def of_function(name: str) -> str:
    """The category of what a function logs."""
    return f"Function.{name}.User"


def _number(level: str) -> int:
    name = _SHORT.get(level.lower(), level.lower())
    return int(name) if name.isdecimal() else _ORDER.index(name) if name in _ORDER else _ORDER.index(_USUAL)
