"""Finds a function among the apps of a folder, and reads what is known of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError
from bridge.files import textfile
from bridge.local.functions import functionjson
from bridge.local.functions.rpc import dotnetapp
from bridge.scaffold import decorators, powershellreader, pythonreader, pythonsource
from bridge.scaffold.existing import CodeFacts, ExistingFunction
from bridge.scaffold.pythonsource import PythonSource

_OF_BUS = {"topicName": "topic", "queueName": "queue"}
Binding = Mapping[str, Any]


def find(functions: Path, named: str) -> ExistingFunction:
    """The function that `APP/FUNCTION` names; the app by its folder or by its name in the catalogue. Raises ConfigurationError."""
    app, slash, name = named.partition("/")
    folder = functions / app.removesuffix("-functions")
    if not slash or not name or not folder.is_dir() or folder.resolve().parent != functions.resolve():
        known = sorted(each.name for each in functions.iterdir() if each.is_dir()) if functions.is_dir() else []
        raise ConfigurationError(
            [f"{named!r} names no function: --from takes APP/FUNCTION, and the apps of {functions} are {', '.join(known) or 'none'}."]
        )
    try:
        return _find(folder, name)
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigurationError([f"{folder} cannot be read: {fault}."]) from None
    except SyntaxError as fault:
        raise ConfigurationError([f"{fault.filename or folder}, line {fault.lineno}: {fault.msg}. Fix it first."]) from None


def _find(folder: Path, name: str) -> ExistingFunction:
    names: list[str] = []
    if (folder / "function_app.py").is_file():
        for source, own, node, binding in _in_python(folder):
            names.append(own)
            if own.lower() == name.lower():
                facts = pythonreader.read(source, node)
                return _described(folder, own, f"{_shown(source.path, folder)}, line {node.lineno}", binding, facts)
    for file in sorted(folder.glob(f"*/{functionjson.FILE}")):
        names.append(file.parent.name)
        if file.parent.name.lower() == name.lower():
            return _by_file(folder, file.parent)
    for content in dotnetapp.described(folder):
        names.append(str(content["name"]))
        if names[-1].lower() == name.lower():
            return _published(folder, content)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(names)}." if names else "It has none."
    raise ConfigurationError([f"{folder} has no function {name!r}. {hint}"])


def _published(folder: Path, content: Mapping[str, Any]) -> ExistingFunction:
    """A function of a published C# app, as the app describes it."""
    bindings = [each for each in content.get("bindings") or () if isinstance(each, dict)]
    trigger = next((each for each in bindings if str(each.get("type", "")).lower().endswith("trigger")), None)
    if trigger is None:
        raise ConfigurationError([f"{folder / dotnetapp.METADATA} gives {content['name']} no trigger, so nothing can start the function."])
    facts = CodeFacts()
    facts.note(f"{content.get('entryPoint') or content['name']} is compiled and was not read; add the fields that it reads")
    return _described(folder, str(content["name"]), f"{folder.name}/{content.get('scriptFile') or dotnetapp.METADATA}", trigger, facts)


def _in_python(folder: Path) -> Iterator[tuple[PythonSource, str, pythonsource.Function, Binding]]:
    for source in pythonsource.sources(folder):
        for name, node, binding in decorators.functions(source):
            yield source, name, node, binding


def _by_file(folder: Path, directory: Path) -> ExistingFunction:
    try:
        function = functionjson.read(directory, scripts=False)
    except ValueError as fault:
        raise ConfigurationError([f"{directory / functionjson.FILE}: {fault}."]) from None
    trigger = next((each for each in function.bindings if str(each.get("type", "")).lower().endswith("trigger")), None)
    if trigger is None:
        raise ConfigurationError([f"{directory / functionjson.FILE} has no trigger, so nothing can start the function."])
    script = _script(directory)
    return _described(folder, function.name, _shown(script, folder), trigger, _facts(folder, script, function, trigger))


def _script(directory: Path) -> Path:
    try:
        return functionjson.read(directory).script
    except ValueError:
        return directory / functionjson.FILE  # a custom handler has none


def _facts(folder: Path, script: Path, function: functionjson.FunctionFolder, trigger: Binding) -> CodeFacts:
    if script.suffix.lower() in (".ps1", ".psm1"):
        return powershellreader.read(script, str(trigger.get("name") or "Request"))
    if script.suffix == ".py":
        source = PythonSource(script, folder)
        node = source.functions.get(function.entry_point or "main")
        if node is not None:
            return pythonreader.read(source, node)
    facts = CodeFacts()
    facts.note(f"{script.name} is in a language that was not read; add the fields that it reads")
    return facts


def _described(folder: Path, name: str, source: str, binding: Binding, facts: CodeFacts) -> ExistingFunction:
    app, kind = f"{folder.name}-functions", str(binding.get("type"))
    if kind.lower() == "httptrigger":
        methods = tuple(str(each).upper() for each in binding.get("methods") or ())
        route = str(binding.get("route") or name).strip("/")
        return ExistingFunction(app, name, source, "http", facts, methods, "/".join(filter(None, (_prefix(folder), route))))
    if kind.lower() == "servicebustrigger":
        field = next((each for each in _OF_BUS if binding.get(each)), "queueName")
        entity, subscription = (_setting(folder, str(binding.get(each) or ""), facts) for each in (field, "subscriptionName"))
        return ExistingFunction(app, name, source, _OF_BUS[field], facts, entity=entity, subscription=subscription)
    raise ConfigurationError(
        [f"{app}/{name} is started by {kind}. Only functions behind HTTP or Service Bus can be the target of an automation."]
    )


def _prefix(folder: Path) -> str:
    """The first part of every route of the app."""
    content = textfile.json_object(folder / "host.json") or textfile.json_object(folder.parent.parent / "host.json")
    prefix = content.get("extensions", {}).get("http", {}).get("routePrefix", "api")
    return prefix.strip("/") if isinstance(prefix, str) else "api"


def _setting(folder: Path, text: str, facts: CodeFacts) -> str:
    """The text, in which `%NAME%` stands for a setting of the app."""
    if not (text.startswith("%") and text.endswith("%") and len(text) > 2):
        return text
    value = textfile.json_object(folder / "local.settings.json").get("Values", {}).get(text.strip("%"))
    if isinstance(value, str) and value:
        return value
    facts.note(f"{text} is not a setting in local.settings.json; write its value instead of fill-in")
    return "fill-in"


def _shown(path: Path, folder: Path) -> str:
    return f"{folder.name}/{path.relative_to(folder)}" if path.is_relative_to(folder) else str(path)
