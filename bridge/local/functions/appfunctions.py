"""The functions of one app: what its worker or its files describe, what of it runs here, and why the rest does not.

What keeps one function from running keeps no other from it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bridge.local.functions import appsettings, bindingreader, bindings, functionjson, ineffective, retries, routes, servicebusnotes
from bridge.local.functions.adminpages import AppState, ListedFunction
from bridge.local.functions.apps import AppFolder, Language, is_python_v1
from bridge.local.functions.bindings import Function, HttpTrigger, TimerTrigger
from bridge.local.functions.functionjson import FunctionFolder
from bridge.local.functions.hostjson import HostJson

log = logging.getLogger("bridge.functions")

_SCRIPTS = {Language.POWERSHELL: (".ps1", ".psm1"), Language.PYTHON: (".py",)}
_NO_EFFECT = "%s: %s (here and in Azure)."
_NO_TIMERS = "timers run by their schedules with --timers only"
_HOMEPAGE = "AzureWebJobsDisableHomepage"


class Configured(Protocol):
    """What counts of an app's configuration."""

    @property
    def app(self) -> AppFolder:
        """Its folder."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Its settings."""

    @property
    def by_protocol(self) -> bool:
        """Whether its worker speaks Azure's own protocol, and says which functions there are."""

    @property
    def host_json(self) -> HostJson:
        """Its host.json."""

    @property
    def timers(self) -> bool:
        """Whether timer functions run by their schedules."""


@dataclass(frozen=True, slots=True)
class _Described:
    """A function as it is described. `problem` is why it cannot be read."""

    name: str
    bindings: Sequence[Mapping[str, Any]] = ()
    problem: str = ""
    readable: bool = True
    wants_metadata: bool = False
    broken: str = ""  #: why its worker cannot load it, while Azure's host starts its trigger all the same
    retry: Mapping[str, Any] | None = None
    content: Mapping[str, Any] = field(default_factory=dict)


def read(
    reported: Sequence[Mapping[str, Any]], configuration: Configured, connect: Callable[[str], object] = lambda _connection: None
) -> tuple[list[Function], AppState]:
    """The functions that run, and the state of the app with all of them. `reported` is what the worker says.

    `connect` is called with the connection of each trigger and output, and raises ValueError for one that cannot be.
    Raises ValueError for names that differ in letter case only, which stops the whole app in Azure too.
    """
    app, chosen = configuration.app, {each.lower() for each in configuration.host_json.functions}
    functions: list[Function] = []
    listed: list[ListedFunction] = []
    everything = list(_described(reported, app, by_protocol=configuration.by_protocol))
    names = [each.name.lower() for each in everything]
    if twice := next((each.name for each in everything if names.count(each.name.lower()) > 1), None):
        raise ValueError(f"{twice} and another function have names that differ in letter case only; rename one")
    for described in everything:
        if chosen and described.name.lower() not in chosen:
            listed.append(_listed(described, app, problem="", indexed=False))
            continue
        disabled = is_disabled(described.name, configuration.settings)
        try:
            function = replace(_function(described, configuration, functions), disabled=disabled)
            _connect(function, connect)
        except ValueError as problem:
            log.error("%s: %s. It is left out, and its neighbours run.", app.directory, problem)  # noqa: TRY400 - the fault is the app's
            _warn(app, servicebusnotes.of_refused(described.name, described.bindings) if described.broken else ())
            listed.append(_listed(described, app, problem=str(problem), indexed=_is_timer(described)))
            continue
        functions.append(function)
        shown = _listed(described, app, problem=function.broken)
        listed.append(replace(shown, disabled=disabled, route=_route(function, configuration.host_json), note=_note(function)))
        _tell(function, app, described)
        _warn(app, servicebusnotes.of_function(function, described.bindings))
    _warn(app, servicebusnotes.of_app(functions, configuration.host_json.extensions.service_bus))
    for nothing in (*ineffective.settings(configuration.settings), *(ineffective.files(app.directory) if app.language.by_files else ())):
        log.warning(_NO_EFFECT, app.name, nothing)
    homepage = configuration.settings.get(_HOMEPAGE, "").strip().lower() not in ineffective.TRUE
    return functions, AppState(listed, homepage=homepage)


def simple(directory: Path) -> list[str]:
    """The functions of an app described by files that have an HTTP trigger, one HTTP output, and nothing else."""
    folders, _ = functionjson.read_all(directory, scripts=False)
    kinds = {each.name: sorted(str(binding.get("type")).lower() for binding in each.bindings) for each in folders}
    return [name for name, types in kinds.items() if types == ["http", "httptrigger"]]


def is_disabled(function: str, settings: Mapping[str, str]) -> bool:
    """Whether `AzureWebJobs.NAME.Disabled` is set, which is the only way to switch a function off that Azure knows."""
    names = (f"AzureWebJobs.{function}.Disabled".lower(), f"AzureWebJobs_{function}_Disabled".lower())
    return any(name.lower() in names and text.strip().lower() in ineffective.TRUE for name, text in settings.items())


def _described(reported: Sequence[Mapping[str, Any]], app: AppFolder, *, by_protocol: bool) -> Iterable[_Described]:
    if by_protocol or (not app.language.by_files and not is_python_v1(app)):
        return [_Described(each["name"], each["bindings"], each.get("problem", ""), retry=each.get("retry")) for each in reported]
    folders, problems = functionjson.read_all(app.directory, scripts=app.language is not Language.CUSTOM)
    gone = {each.name: each for each in folders if not each.script.exists()}
    problems |= {name: f"scriptFile names {each.script}, and there is no such file" for name, each in gone.items()}
    known = {each["name"]: each for each in reported}
    found = []
    for name, problem in problems.items():
        text, written = f"{name} cannot be loaded: {problem}", gone[name].bindings if name in gone else ()
        found.append(_Described(name, written, text, readable=False, broken=text if name in gone else ""))
    for folder in (each for each in folders if each.name not in problems):
        said = known.get(folder.name, {})
        if other := _other_language(folder, app.language):
            found.append(_Described(folder.name, folder.bindings, f"{folder.name} cannot be loaded: {other}"))
            continue
        refused = str(said.get("problem") or "").strip().removesuffix(".")
        broken = f"{folder.name} cannot be loaded: {refused}" if refused else ""
        wants_metadata = bool(said.get("metadata"))
        found.append(
            _Described(
                folder.name, folder.bindings, wants_metadata=wants_metadata, broken=broken, retry=folder.retry, content=folder.content
            )
        )
    return sorted(found, key=lambda each: each.name)


def _other_language(folder: FunctionFolder, language: Language) -> str:
    """Why the app's worker does not take the function's script; nothing if it does. Azure's host leaves such a function out in silence."""
    suffixes = _SCRIPTS.get(language, ())
    if not suffixes or folder.script.suffix.lower() in suffixes:
        return ""
    return f"its script {folder.script.name} is not written in the language of the app; it must end in {' or '.join(suffixes)}"


def _function(described: _Described, configuration: Configured, others: Sequence[Function]) -> Function:
    """Raises ValueError with what keeps the function from running here."""
    if described.problem:
        raise ValueError(described.problem)
    app = configuration.app
    if app.language is Language.CUSTOM or configuration.by_protocol:
        try:
            bindings.check_names(described.bindings)
        except ValueError as problem:
            raise ValueError(f"{described.name} {problem}") from problem
    reported = {"name": described.name, "bindings": [{**each, "type": str(each["type"])} for each in described.bindings]}
    function = bindingreader.read(reported, lambda text: appsettings.resolve(text, configuration.settings), other_outputs=True)
    if isinstance(function.trigger, HttpTrigger):
        taken = [each.trigger.route for each in others if isinstance(each.trigger, HttpTrigger)]
        if conflict := routes.conflict(function.trigger.route, taken):
            raise ValueError(f"{described.name} cannot have the route {function.trigger.route.text!r}: {conflict.removesuffix('.')}")
    if app.language is Language.CUSTOM:  # of several http outputs Azure's host takes the last one
        named = [str(each["name"]) for each in described.bindings if str(each["type"]).lower() == "http"]
        function = replace(function, response=named[-1] if named else "")
    if isinstance(function.trigger, TimerTrigger) and not configuration.timers:
        function = replace(function, idle=_NO_TIMERS)
    if described.broken and not isinstance(function.trigger, HttpTrigger):
        raise ValueError(described.broken)
    retry = retries.policy(described.retry or configuration.host_json.retry)
    return replace(function, wants_metadata=described.wants_metadata, broken=described.broken, retry=retry)


def _connect(function: Function, connect: Callable[[str], object]) -> None:
    """Raises ValueError if one of the function's connections cannot be."""
    for connection in function.connections:
        try:
            connect(connection)
        except ValueError as problem:
            raise ValueError(f"{function.name} {problem}") from problem


def _is_timer(described: _Described) -> bool:
    return any(str(each.get("type")).lower() == "timertrigger" and isinstance(each.get("schedule"), str) for each in described.bindings)


def _listed(described: _Described, app: AppFolder, *, problem: str = "", indexed: bool = True) -> ListedFunction:
    language = None if app.language is Language.CUSTOM else app.language.value
    return ListedFunction(described.name, described.bindings, language, problem, listed=described.readable, indexed=indexed)


def _route(function: Function, host_json: HostJson) -> str:
    if not isinstance(function.trigger, HttpTrigger):
        return ""
    route, prefix = function.trigger.route, host_json.extensions.http.route_prefix
    return f"{','.join(route.written).upper() or 'ANY'} /{prefix}/{route.text}".replace("//", "/")


def _note(function: Function) -> str:
    """What of a function does not happen here."""
    if function.idle:
        return f"runs only by hand: {function.idle}"
    return f"runs; not sent: {', '.join(function.unsent)}" if function.unsent else ""


def _warn(app: AppFolder, notes: Iterable[str]) -> None:
    for note in notes:
        log.warning("%s: %s.", app.name, note)


def _tell(function: Function, app: AppFolder, described: _Described) -> None:
    """Say what of a function does not happen here, or nowhere."""
    for nothing in ineffective.function(function, described.content):
        log.warning(_NO_EFFECT, app.name, nothing)
    if function.broken:
        log.error("%s: %s. Its route is there, and each call fails, here and in Azure.", app.directory, function.broken)
    if function.disabled:
        log.info("%s: %s is disabled by a setting.", app.name, function.name)
    if function.unsent:
        log.warning("%s: what %s sets on %s is not sent by this host.", app.name, function.name, ", ".join(function.unsent))
    if function.idle:
        log.warning("%s: %s runs only by hand here (POST /admin/functions/%s): %s.", app.name, function.name, function.name, function.idle)
    if function.retry is not None and isinstance(function.trigger, HttpTrigger):
        log.warning("%s: %s is retried, and its caller waits, as in Azure; Azure announces the end of this.", app.name, function.name)
