"""function.json and local.settings.json of function apps: what the Functions host refuses, and settings that a binding needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.findings import FindingLevel, Hit, hit, misspelt, rule
from bridge.doctor.project import DoctorProject
from bridge.doctor.values import PLACEHOLDER
from bridge.local.functions import bindingreader, bindings, functionjson, routetemplate, schedules

_REFERENCE = re.compile(r"%([^%]+)%")
_RUNTIMES = ("dotnet", "dotnet-isolated", "node", "python", "java", "powershell", "custom")
_ENDED = re.compile(r"6(\.\d+)*|7(\.[0-3](\.\d+)?)?")  #: versions of PowerShell
_CONNECTION_STRING = re.compile(r"(SharedAccessKey|AccountKey|Endpoint|AccountName)\s*=|^sb://", re.IGNORECASE)
_STORAGE = "AzureWebJobsStorage"  #: which the environment of the host gives, too
_ENTITIES = ("queueName", "topicName", "subscriptionName", "schedule")

Place = tuple[tuple[Key, ...], dict[str, Any]]


def _functions(project: DoctorProject) -> Iterator[ConfigDocument]:
    return (each for each in project.named("function.json") if isinstance(each.value, Mapping) and not each.kind)


def _bindings(document: ConfigDocument) -> list[Place]:
    """The bindings with their places; those that are no objects are left out."""
    return [(("bindings", number), each) for number, each in document.items("bindings") if isinstance(each, dict)]


def _kind(binding: Mapping[str, Any]) -> str:
    return str(binding.get("type", "")).lower()


@rule("function-json-invalid", FindingLevel.ERROR, "The Functions host does not run the function; a bad route stops the whole app.")
def function_json_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A function.json that the Functions host refuses."""
    for document in _functions(project):
        found = _bindings(document)
        if not found:
            yield hit(document, ("bindings",), "function.json has no bindings.", "Add a list `bindings` with a trigger.")
            continue
        triggers = [path for path, each in found if _kind(each).endswith("trigger")]
        if len(triggers) != 1 and all(_kind(each) in bindingreader.types() for _, each in found):
            place = triggers[1] if triggers else ("bindings",)
            yield hit(document, (*place, "type"), f"The function has {len(triggers)} triggers.", "A function has exactly one trigger.")
        try:
            bindings.check_names([each for _, each in found])
        except ValueError as fault:
            yield hit(document, _named(found, str(fault)), f"The function {fault}.", "Give each binding a type and a name of its own.")
        for path, each in found:
            yield from _binding(document, path, each)
            yield from _route(document, (*path, "route"), has_prefix=_has_prefix(project, document)) if _kind(each) == "httptrigger" else ()


def _has_prefix(project: DoctorProject, document: ConfigDocument) -> bool:
    """Whether the routes of the app have a prefix: `api`, or the one of its host.json."""
    hosts = [each for each in project.named("host.json") if each.file.parent == document.file.parent.parent]
    return not any(each.get("extensions", "http", "routePrefix") == "" for each in hosts)


def _named(found: list[Place], problem: str) -> tuple[Key, ...]:
    """The place of the last binding whose name a problem tells."""
    named = [path for path, each in found if f"'{each.get('name') or ''}'" in problem]
    return (*named[-1], "name") if named else ("bindings",)


def _binding(document: ConfigDocument, path: tuple[Key, ...], binding: dict[str, Any]) -> Iterator[Hit]:
    kind = _kind(binding)
    if kind not in bindingreader.types():
        found = hit(document, (*path, "type"), f"No extension has the binding type {binding.get('type')}.", "Correct it.")
        meant = misspelt(found, document, (*path, "type"), _spelled())
        yield from [meant] if meant.fix or "Perhaps" in meant.mend else []
    try:
        functionjson.check_words(binding)
    except ValueError as fault:
        field = "direction" if "direction" in str(fault) else "dataType"
        words = ("in", "out", "inout") if field == "direction" else ("string", "binary", "stream")
        found = hit(document, (*path, field), f"The {field} is {binding.get(field)!r}.", f"Write {' or '.join(words)}.")
        yield misspelt(found, document, (*path, field), words)
    for name in _ENTITIES:
        if str(binding.get(name, "")).count("%") % 2:
            yield hit(document, (*path, name), f"{name} is {binding[name]!r}.", "Write the name of the setting between two %.")
    if kind.startswith("servicebus"):
        yield from _service_bus(document, path, binding)
    if kind == "httptrigger":
        yield from _http(document, path, binding)
    if kind == "timertrigger":
        yield from _timer(document, (*path, "schedule"), binding.get("schedule"))


def _spelled() -> list[str]:
    """The types of bindings as they are usually written."""
    usual = ("serviceBusTrigger", "serviceBus", "httpTrigger", "http", "timerTrigger", "queueTrigger", "queue", "blobTrigger", "blob")
    return [*usual, *(each for each in bindingreader.types() if each not in map(str.lower, usual))]


def _service_bus(document: ConfigDocument, path: tuple[Key, ...], binding: dict[str, Any]) -> Iterator[Hit]:
    is_trigger = _kind(binding) == "servicebustrigger"
    queue, topic, subscription = (binding.get(each) for each in ("queueName", "topicName", "subscriptionName"))
    if not queue and not topic:
        yield hit(document, path, "The binding names neither a queue nor a topic.", "Add queueName or topicName.")
    elif is_trigger and topic and not subscription:
        yield hit(document, (*path, "topicName"), "The trigger names a topic and no subscription.", "Add subscriptionName.")
    elif queue and topic:
        yield hit(document, (*path, "queueName"), "The binding names a queue and a topic.", "Keep one of them.")
    connection = str(binding.get("connection", ""))
    if _CONNECTION_STRING.search(connection):
        mend = "Put the connection string into an app setting, or better use an identity, and write the name of the setting here."
        yield hit(document, (*path, "connection"), "connection is a connection string, not the name of a setting.", mend)


def _http(document: ConfigDocument, path: tuple[Key, ...], binding: dict[str, Any]) -> Iterator[Hit]:
    level = binding.get("authLevel")
    if isinstance(level, str) and level.lower() not in bindingreader.levels() and not PLACEHOLDER.search(level):
        found = hit(document, (*path, "authLevel"), f"authLevel is {level!r}.", f"Write {', '.join(bindingreader.levels())}.")
        yield misspelt(found, document, (*path, "authLevel"), bindingreader.levels())
    if binding.get("methods") == []:
        yield hit(document, (*path, "methods"), "methods is empty, so every call is answered with 404.", "List the methods, or remove it.")


def _route(document: ConfigDocument, path: tuple[Key, ...], *, has_prefix: bool) -> Iterator[Hit]:
    route = document.get(*path)
    if isinstance(route, str) and route:
        try:
            routetemplate.parse(route)
            problem = "begins with / after the prefix" if has_prefix and route.startswith("/") else ""
        except ValueError as fault:
            problem = str(fault)
        if problem:
            yield hit(document, path, f"The route {route!r} {problem}.", "Correct it, like orders/{id}.")


def _timer(document: ConfigDocument, path: tuple[Key, ...], schedule: object) -> Iterator[Hit]:
    if isinstance(schedule, str) and "%" not in schedule and not PLACEHOLDER.search(schedule.replace("*", "0")):
        try:
            schedules.parse(schedule)
        except ValueError:
            yield hit(document, path, f"{schedule!r} is not a schedule.", "Write six fields, seconds first, such as 0 */5 * * * *.")


@rule(
    "function-setting-missing",
    FindingLevel.WARNING,
    "The function does not start here, and not in Azure either unless the app setting exists there.",
)
def function_setting_missing(project: DoctorProject) -> Iterator[Hit]:
    """A connection or a %NAME% of a function.json without a setting in the local.settings.json of its app."""
    for document in _functions(project):
        folder = document.file.parent.parent
        files = [each for each in project.named("local.settings.json") if each.file.parent == folder]
        names = {str(each).lower() for one in files for each in one.mapping("Values")}
        for path, binding in _bindings(document) if files and not files[0].get("IsEncrypted") else ():
            for field, name in _needed(binding):
                if not any(each in (name.lower(), f"azurewebjobs{name.lower()}") or each.startswith(f"{name.lower()}__") for each in names):
                    mend = f'Add "{name}" to Values of {files[0].file.name}, and to the app settings in Azure.'
                    yield hit(document, (*path, field), f"No setting is named {name}.", mend)


def _needed(binding: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings that a binding names, each with the field."""
    connection = binding.get("connection")
    if (
        isinstance(connection, str)
        and connection not in ("", _STORAGE)
        and not _CONNECTION_STRING.search(connection)
        and "%" not in connection
    ):
        yield "connection", connection
    for field in _ENTITIES:
        yield from ((field, name) for name in _REFERENCE.findall(str(binding.get(field, ""))))


@rule(
    "local-settings-invalid", FindingLevel.ERROR, "Core Tools and the local functions host do not start the app, or start another runtime."
)
def local_settings_invalid(project: DoctorProject) -> Iterator[Hit]:
    """A local.settings.json with a value that is not text, an unknown worker runtime, or an old version of the host."""
    for document in project.named("local.settings.json"):
        values = document.get("Values")
        if values is not None and not isinstance(values, Mapping):
            yield hit(document, ("Values",), "Values must be an object.", 'Write "Values": {"NAME": "text"}.')
        for name, value in document.mapping("Values").items():
            if isinstance(value, dict | list):
                yield hit(
                    document, ("Values", name), f"{name} is not text.", "Write text, as every app setting is, or one setting for each part."
                )
        runtime, version = (document.get("Values", each) for each in ("FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION"))
        if isinstance(runtime, str) and runtime and runtime.lower() not in _RUNTIMES and not PLACEHOLDER.search(runtime):
            path = ("Values", "FUNCTIONS_WORKER_RUNTIME")
            yield misspelt(
                hit(document, path, f"No runtime is named {runtime}.", f"Write {', '.join(_RUNTIMES)}."), document, path, _RUNTIMES
            )
        if isinstance(version, str) and re.fullmatch(r"~?[1-3](\..*)?", version):
            yield hit(document, ("Values", "FUNCTIONS_EXTENSION_VERSION"), f"Version {version} of the host has ended.", 'Write "~4".')


@rule("worker-version-ended", FindingLevel.WARNING, "The version gets no security fixes, and Azure stops running it.")
def worker_version_ended(project: DoctorProject) -> Iterator[Hit]:
    """A PowerShell version below 7.4 in a local.settings.json."""
    for document in project.named("local.settings.json"):
        path = ("Values", "FUNCTIONS_WORKER_RUNTIME_VERSION")
        version = str(document.get(*path, default=""))
        if document.get("Values", "FUNCTIONS_WORKER_RUNTIME") == "powershell" and _ENDED.fullmatch(version.lstrip("~")):
            yield hit(document, path, f"PowerShell {version} has ended.", "Write 7.6.")
