"""An app's own host.json, read as the Functions host reads it: names in any letter case, numbers as text, unknown parts left alone.

`AzureFunctionsJobHost__a__b` in the environment, in any letter case, stands for `a.b` of the file. What the Functions host refuses is
refused here, in words; there it stops every function of the app.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bridge.errors import ConfigurationError
from bridge.local.functions import servicebushostjson, timespans
from bridge.local.functions.hostjson import ExtensionBundle, HostJson, Http, ServiceBus, explain, read_object

log = logging.getLogger("bridge.functions")

_PREFIX = "azurefunctionsjobhost"
_LONGEST = timedelta(days=24, hours=20)  #: that the Functions host can wait for
_LOG_LEVELS = frozenset({"trace", "debug", "information", "warning", "error", "critical", "none", *map(str, range(7))})
_FILE_MODES = frozenset({"never", "always", "debugonly"})
_BUNDLE_VERSION = re.compile(r"[\[(]?\s*[0-9*][0-9.*]*\s*(,\s*([0-9*][0-9.*]*)?\s*)?[\])]?")
_KNOWN = frozenset(
    [
        "$schema",
        "version",
        "functiontimeout",
        "extensions",
        "extensionbundle",
        "logging",
        "telemetrymode",
        "concurrency",
        "manageddependency",
        "healthmonitor",
        "retry",
        "singleton",
        "watchdirectories",
        "watchfiles",
        "functions",
        "customhandler",
        "aggregator",
        "httpworker",
        "metadataprovidertimeout",
        "sendcanceledinvocationstoworker",
    ]
)


def read(path: Path, environment: Mapping[str, str]) -> tuple[HostJson, dict[str, Any]]:
    """The settings in the file, and its content with what the environment adds. Raises ConfigurationError."""
    content = read_object(path)
    return check(content, path, environment), content


def check(content: dict[str, Any], path: Path, environment: Mapping[str, str]) -> HostJson:
    """The settings in a content, to which what the environment says is added; `path` names the file. Raises ConfigurationError."""
    is_empty, written, for_handler = not content, content.get("version"), entry(content, "customHandler") is not None
    for name, value in environment.items():
        _add(content, name, value)
    version = written if for_handler else content.get("version")  # for custom handlers Azure's host looks into the file alone
    if version != "2.0" and not is_empty:
        raise ConfigurationError([f'{path}: version is {version!r}; host.json needs "version": "2.0".'])
    try:
        return _settings(content, path)
    except ValidationError as wrong:
        raise ConfigurationError(explain(str(path), wrong)) from wrong
    except ValueError as wrong:
        raise ConfigurationError([f"{path}: {wrong}."]) from wrong


def _add(content: dict[str, Any], name: str, value: str) -> None:
    """Put a variable such as `AzureFunctionsJobHost__extensions__http__routePrefix` in its place."""
    first, *parts = re.split("__|:", name)
    if first.lower() != _PREFIX or not parts:
        return
    *parents, last = parts
    for part in parents:
        key = next((each for each in content if each.lower() == part.lower()), part)
        if not isinstance(content.get(key), dict):
            content[key] = {}
        content = content[key]
    content[next((each for each in content if each.lower() == last.lower()), last)] = value


def entry(content: object, *names: str) -> Any:
    """The value at a path of names in any letter case; None if there is none."""
    for name in names:
        if not isinstance(content, Mapping):
            return None
        content = next((value for field, value in content.items() if str(field).lower() == name.lower()), None)
    return content


def _settings(content: dict[str, Any], path: Path) -> HostJson:
    """Raises ValueError."""
    if unknown := [name for name in content if name.lower() not in _KNOWN]:
        log.warning("%s: %s has no effect, here or in Azure.", path, ", ".join(unknown))
    _check_logging(content)
    _check_bundle(entry(content, "extensionBundle"))
    given: dict[str, Any] = {"version": "2.0", "extensions": {}}
    timeout = entry(content, "functionTimeout")
    if timeout not in (None, ""):
        given["functionTimeout"] = _timeout(timeout)
    written: dict[str, Any] = {
        "http": entry(content, "extensions", "http"),
        "serviceBus": servicebushostjson.flattened(entry(content, "extensions", "serviceBus"), path),
    }
    models: dict[str, type[BaseModel]] = {"http": Http, "serviceBus": ServiceBus}
    for name, model in models.items():
        given["extensions"][name] = _section(model, written[name], f"extensions.{name}", path)
    retry = entry(content, "retry")
    given["retry"] = retry if isinstance(retry, dict) else None
    functions = entry(content, "functions")
    given["functions"] = [str(each) for each in functions] if isinstance(functions, list) else []
    return HostJson.model_validate(given)


def _check_logging(content: dict[str, Any]) -> None:
    levels = entry(content, "logging", "logLevel")
    for category, level in levels.items() if isinstance(levels, dict) else ():
        if str(level).lower() not in _LOG_LEVELS:
            raise ValueError(f"logging.logLevel.{category} is {level!r}; write Trace, Debug, Information, Warning, Error, Critical or None")
    mode = entry(content, "logging", "fileLoggingMode")
    if mode is not None and str(mode).lower() not in _FILE_MODES:
        raise ValueError(f"logging.fileLoggingMode is {mode!r}; write never, always or debugOnly")


def _check_bundle(bundle: object) -> None:
    """Which extensions there are is decided by this host, and nothing is fetched; but Azure refuses a bundle that it cannot name."""
    if not isinstance(bundle, dict):
        return
    identity, version = entry(bundle, "id"), entry(bundle, "version")
    default = ExtensionBundle.model_fields["id"].annotation
    if not isinstance(identity, str) or not re.fullmatch(r"[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*", identity):
        raise ValueError(f"extensionBundle.id is {identity!r}; write {str(default)!r}")
    if not isinstance(version, str) or not _BUNDLE_VERSION.fullmatch(version.strip()):
        raise ValueError(f"extensionBundle.version is {version!r}; write a range such as '[4.*, 5.0.0)'")


def _timeout(value: object) -> timedelta | None:
    if str(value).strip() == "-1":
        return None
    span = _span(value, "functionTimeout")
    if span < timedelta(seconds=1) or span > _LONGEST:
        raise ValueError(f"functionTimeout is {value!r}; it must be from one second to 24 days, and hours over 23 are read as days")
    return span


def _span(value: object, name: str) -> timedelta:
    try:
        return timespans.parse(str(value))
    except ValueError as wrong:
        raise ValueError(f"{name} is {value!r}; {wrong}") from None


def _section(model: type[BaseModel], given: object, named: str, path: Path) -> dict[str, Any]:
    """The values of one section that the model has, in the types that it wants."""
    if not isinstance(given, dict):
        return {}
    fields = {(field.alias or name).lower(): (field.alias or name, str(field.annotation)) for name, field in model.model_fields.items()}
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key.lower() not in fields:
            log.warning("%s: %s.%s is not known and has no effect.", path, named, key)
            continue
        alias, kind = fields[key.lower()]
        if value is not None and value != "":
            found[alias] = _converted(value, kind, f"{named}.{alias}")
        elif value == "" and kind == "<class 'str'>":
            found[alias] = ""
    return found


def _converted(value: Any, kind: str, named: str) -> Any:
    if isinstance(value, bool) or "bool" in kind or "Literal[True]" in kind:
        if str(value).lower() not in ("true", "false"):
            raise ValueError(f"{named} is {value!r}; it must be true or false")
        return str(value).lower() == "true"
    if "timedelta" in kind:
        return _span(value, named)
    if "int" in kind:
        if not re.fullmatch(r"\s*[+-]?\d+\s*", str(value)):
            raise ValueError(f"{named} is {value!r}; it must be a whole number")
        return int(value)
    if kind == "<class 'str'>":
        return str(value)
    if "dict[str, str]" in kind:
        return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else None
    return value if isinstance(value, dict | str) else None
