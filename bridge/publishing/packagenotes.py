"""Notes on what the owner of a function app has to do on Azure besides publishing the package."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.files import textfile
from bridge.local.functions import appsettings, functionjson
from bridge.local.functions.apps import AppFolder, Language
from bridge.publishing.contents import PackedFile
from bridge.scaffold import pythonapp

_LOCAL_ONLY = frozenset({"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"})  #: settings that each machine has its own of
_MANAGED = re.compile(r"^\s*['\"]?[\w.-]+['\"]?\s*=\s*['\"]", re.MULTILINE)  #: a module in requirements.psd1
_NO_BUNDLE = (
    "host.json has no extensionBundle, so Azure has HTTP and timers only: a function with another trigger or output is not there. "
    'Add "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.0.0, 5.0.0)"} unless that is meant.'
)
_NO_MANAGED = (
    "requirements.psd1 names modules, which a Flex Consumption plan does not install: "
    "put them into the package with `Save-Module NAME -Path Modules`."
)
_NO_CLOUDEVENTS = "bridge_result needs a line cloudevents>=2.2,<3 in requirements.txt, and it has none."


def of(app: AppFolder, files: Sequence[PackedFile], *, has_bundle: bool) -> list[str]:
    """The notes. Raises OSError."""
    return list(_notes(app, {each.name: each.content for each in files}, has_bundle=has_bundle))


def _notes(app: AppFolder, files: dict[str, Path | bytes], *, has_bundle: bool) -> Iterator[str]:
    if not has_bundle and app.language is not Language.DOTNET:
        yield _NO_BUNDLE
    if app.language is Language.PYTHON and "bridge_result.py" in files:
        text = _text(files.get("requirements.txt"))
        if pythonapp.required(text, "cloudevents", "?") != text and not any(each.startswith(".python_packages/") for each in files):
            yield _NO_CLOUDEVENTS
    if app.language is Language.POWERSHELL and _MANAGED.search(_text(files.get("requirements.psd1"))):
        yield _NO_MANAGED
    if app.language.by_files or ("function_app.py" not in files and app.language is Language.PYTHON):
        problems = functionjson.read_all(app.directory, scripts=app.language is not Language.CUSTOM)[1]
        yield from (f"{name} does not run, here or in Azure: {problem}." for name, problem in problems.items())
    if names := sorted(_settings(app.directory).keys() - _LOCAL_ONLY):
        yield f"local.settings.json stays here; the app on Azure needs settings of its own for {', '.join(names)}."


def _settings(app: Path) -> Mapping[str, str]:
    try:
        return appsettings.read(app, {})
    except ConfigurationError:  # it says nothing of what Azure gets
        return {}


def _text(content: Path | bytes | None) -> str:
    try:
        return textfile.read(content) if isinstance(content, Path) else (content or b"").decode()
    except UnicodeDecodeError:
        return ""
