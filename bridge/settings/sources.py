"""The sources of settings: flags, environment and file. Each knows how it writes the name of a setting."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import ErrorDetails

from bridge.files import textfile, yamlfile

PREFIX = "BRIDGE_"
FILE = "bridge.yaml"  #: read from the working directory if it is there
Place = tuple[int | str, ...]  #: the keys that lead to a setting

#: Variables that other parts of the bridge read.
NOT_SETTINGS = frozenset(
    {
        "BRIDGE_CONFIG",
        "BRIDGE_CRASH_AT",
        "BRIDGE_FUNCTIONS_CRASH_AT",
        "BRIDGE_FUNCTIONS_PYTHON",
        "BRIDGE_PWSH",
        "BRIDGE_DOTNET",
        "BRIDGE_WORKERS",
        "BRIDGE_STATE_FILE",
        "BRIDGE_TOKEN",
        "BRIDGE_TOKEN_FILE",
        "BRIDGE_URL",
        "BRIDGE_WORKER_CRASH_AT",
    }
)
#: Settings that are one object: what stands below them is a field, and not a name that somebody chose.
_OBJECTS = frozenset({"servicebus"})
_SERVICE_LINK = re.compile(r"BRIDGE_(SERVICE|PORT)_\w+")
_OUR_WORDS = re.compile(r"(Input|String|Value) should")
_IN_ADDRESS = re.compile(r"(?<=://)[^/@]*@|[?#].*")


@dataclass(frozen=True)
class SettingsSource:
    """One source of settings: its values, nested as in the file, and how it writes names."""

    values: Mapping[str, Any]
    name: Callable[[Place], str]

    def depth(self, place: Place) -> int:
        """How many keys of the path this source has."""
        value: Any = self.values
        for depth, key in enumerate(place):
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return depth
        return len(place)


def gather(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> tuple[list[SettingsSource], list[str]]:
    """The sources, strongest first, and the problems of the file itself."""
    given = {name: value for name, value in flags.items() if value is not None and name != "config"}
    named = flags.get("config") or environ.get("BRIDGE_CONFIG")
    file, problems = _file(cwd, str(named) if named else None)
    return [SettingsSource(given, lambda place: "--" + str(place[0]).replace("_", "-")), _environment(environ), file], problems


def merged(found: list[SettingsSource]) -> dict[str, Any]:
    """The values of all sources. Mappings are merged; of any other value the strongest source wins."""
    result: dict[str, Any] = {}
    for source in reversed(found):
        result = _over(result, source.values)
    return result


def _over(weak: Any, strong: Any) -> Any:
    if not (isinstance(weak, Mapping) and isinstance(strong, Mapping)):
        return strong
    return {**weak, **{key: _over(weak.get(key), value) for key, value in strong.items()}}


def _environment(environ: Mapping[str, str]) -> SettingsSource:
    values: dict[str, Any] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or _SERVICE_LINK.fullmatch(variable) or not environ[variable]:
            continue
        first, *rest = variable.removeprefix(PREFIX).lower().split("__")
        keys = [first, *(part if number % 2 or first in _OBJECTS else part.replace("_", "-") for number, part in enumerate(rest))]
        inner = values
        for key in keys[:-1]:
            inner = inner.setdefault(key, {}) if isinstance(inner.setdefault(key, {}), dict) else {}
        inner[keys[-1]] = _read(environ[variable])
    names = {name for name in environ if name.startswith(PREFIX)}
    return SettingsSource(values, lambda place: _variable(place, names))


def _read(text: str) -> Any:
    try:
        return yamlfile.parse(text) if text.lstrip()[:1] in ("[", "{") else text
    except yaml.YAMLError:
        return text


def _variable(place: Place, names: set[str]) -> str:
    words = [str(part).replace("-", "_").upper() for part in place]
    written = [PREFIX + "__".join(words[:length]) for length in range(len(words), 0, -1)]
    return next((name for name in written if name in names), written[0])


def _file(cwd: Path, named: str | None) -> tuple[SettingsSource, list[str]]:
    path = cwd / (named or FILE)
    shown = named or FILE
    values: Any = {}
    problems: list[str] = []
    try:
        values = yamlfile.parse(textfile.read(path)) or {}
    except FileNotFoundError:
        if named:
            problems.append(f"{shown}: there is no such file; name another with --config or BRIDGE_CONFIG, or leave both out.")
    except OSError as fault:
        problems.append(f"{shown}: cannot be read ({fault.strerror}).")
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        why = fault.problem if isinstance(fault, yamlfile.TooMuch) else ""  # any other may repeat a value, which may be secret
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problems.append(f"{shown}: is not YAML{place}{f' ({why})' if why else ''}; fix it there.")
    except UnicodeDecodeError:
        problems.append(f"{shown}: is not UTF-8 text; save it as UTF-8.")
    if not isinstance(values, dict):
        problems.append(f"{shown}: holds {type(values).__name__}, expected a mapping such as `port: 8080`.")
        values = {}
    return SettingsSource(values, lambda place: f"{shown}: {'.'.join(str(part) for part in place)}"), problems


def explain(found: list[SettingsSource], error: ErrorDetails, known: Mapping[str, str]) -> str:
    """One problem as a sentence: where the value came from, the value unless it may be secret, and what is expected."""
    place = tuple(part for part in error["loc"] if part != "[key]") or ("settings",)
    source = max(found, key=lambda source: source.depth(place))
    where = source.name(place)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]).lower(), known, 1, 0.6)
        return f"{where}: no setting has this name; " + (f"did you mean {source.name((*place[:-1], near[0]))}?" if near else "remove it.")
    if error["type"] == "missing":
        return f"{where}: is missing. It is: {known.get(str(place[-1]), '')}"
    return f"{where}: {_wrong(place, error)}. {known.get(str(place[-1]), '')}".rstrip()


def _wrong(place: Place, error: ErrorDetails) -> str:
    expected = str(error.get("ctx", {}).get("error") or error["msg"])
    expected = _OUR_WORDS.sub("it should", expected).replace("a valid tuple", "a list")
    value = error["input"]
    if place[0] == "tokens" or isinstance(value, dict | list | tuple):
        return expected
    text = repr(_IN_ADDRESS.sub("", value)[:80] if isinstance(value, str) else value)
    return expected if text in expected else f"{text} cannot be used: {expected}"
