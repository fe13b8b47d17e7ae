"""A new automation: what is written for its function, its sample event, its test, its catalogue entry and its subscription."""

from __future__ import annotations

import json
from pathlib import Path

from bridge import entities
from bridge.errors import ConfigurationError
from bridge.files import packaged
from bridge.scaffold import catalogueentry, entitylist, pythonapp, templates
from bridge.scaffold.choices import Places, ScaffoldLanguage, ScaffoldTrigger
from bridge.scaffold.names import Names
from bridge.scaffold.textchange import FileChanges

_HELPERS = ("bridge_result.py", "bridge_invocation.py")
_MODULE = Path("Modules") / "Automation.Bridge"


def plan(names: Names, language: ScaffoldLanguage, trigger: ScaffoldTrigger, places: Places) -> FileChanges:
    """Everything that is to be written. Raises ConfigurationError with what stands in the way; nothing was written then."""
    app = places.functions / names.app_folder
    _fits(app, language)
    changes = FileChanges()
    for part in (trigger.value, "both"):
        for path, text in templates.files(f"{language}/{part}", names):
            changes.create(app / path, text)
    for path, text in templates.files(f"{language}/app", names):
        changes.ensure(app / path, text)
    changes.ensure(app / "host.json", templates.text("host.json", names))
    samples = "testdata" if language is ScaffoldLanguage.GO else "tests"
    changes.create(app / samples / f"{names.automation}.json", templates.text("sample.json", names))
    if language is ScaffoldLanguage.PYTHON:
        _python(app, names, trigger, changes)
    else:
        changes.create(app / names.function / "function.json", templates.text(f"{trigger}.json", names))
    if language is ScaffoldLanguage.POWERSHELL:
        _module(app, changes)
    _listed(names, trigger, places, changes)
    return changes


def _fits(app: Path, language: ScaffoldLanguage) -> None:
    """Raises ConfigurationError if the folder holds an app of another kind."""
    by_files = any(app.glob("*/function.json"))
    handler = "customHandler" in (app / "host.json").read_text(errors="replace") if (app / "host.json").is_file() else False
    ours = (app / "main.go").is_file() and "var functions = map[string]Work" in (app / "main.go").read_text(errors="replace")
    fits = {
        ScaffoldLanguage.PYTHON: not by_files and not handler,
        ScaffoldLanguage.POWERSHELL: not (app / "function_app.py").exists() and not handler,
        ScaffoldLanguage.GO: ours or not any(app.glob("*")),
    }[language]
    if not fits:
        raise ConfigurationError([f"{app} holds an app of another kind, and all functions of an app are of one. Name another with --app."])


def _python(app: Path, names: Names, trigger: ScaffoldTrigger, changes: FileChanges) -> None:
    if (app / names.module).is_dir():
        raise ConfigurationError([f"{app / names.module} is a folder, which hides the module {names.module}. Take another name."])
    main, requirements = app / "function_app.py", app / "requirements.txt"
    changes.replace(main, pythonapp.registered(changes.text(main) or "", names.module, main))
    if trigger is ScaffoldTrigger.TOPIC:
        for name in _HELPERS:
            changes.ensure(app / name, packaged.helper(f"python/{name}").read_text(encoding="utf-8"))
        before = changes.text(requirements) or ""
        if (after := pythonapp.required(before, "cloudevents", "cloudevents>=2.2,<3")) != before:
            changes.replace(requirements, after)


def _module(app: Path, changes: FileChanges) -> None:
    source = packaged.helper(f"powershell/{_MODULE.as_posix()}")
    if not (app / _MODULE).exists():
        for path in sorted(each for each in source.rglob("*") if each.is_file()):
            changes.ensure(app / _MODULE / path.relative_to(source), path.read_text(encoding="utf-8"))


def _listed(names: Names, trigger: ScaffoldTrigger, places: Places, changes: FileChanges) -> None:
    entry = templates.text(f"{trigger}.yaml", names)
    changes.replace(places.catalogue, catalogueentry.added(changes.text(places.catalogue), entry, names.automation, places.catalogue))
    if trigger is ScaffoldTrigger.HTTP:
        return
    source = packaged.instead_of(places.entities, "servicebus.json")
    entities.load(source)
    text = changes.text(source) or json.dumps({})
    changes.replace(places.entities, entitylist.added(text, names.topic, names.subscription, names.automation))
