"""What an app says that counts for nothing, here or in Azure. It is told at the start, because whoever wrote it thinks otherwise.

Pure but for a look at the names of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.local.functions.bindings import Function, HttpTrigger
from bridge.local.functions.functionjson import FILE

_DISABLED = re.compile(r"AzureWebJobs(\.|__?)(.+?)(\.|__?)Disabled", re.IGNORECASE)
_REFERENCE = re.compile(r"%[^%/{}]+%")
TRUE = ("true", "1")  #: how a setting of Azure says yes, in small letters
_OTHERS = frozenset({"node_modules", "__pycache__"})


def settings(given: Mapping[str, str]) -> Iterator[str]:
    """Settings that look as if they switched a function off, and do not."""
    for name, text in given.items():
        found = _DISABLED.fullmatch(name)
        if found is None or text.strip().lower() in ("false", "0", ""):
            continue
        before, function, after = found.groups()
        if "__" in (before, after) or before != after:
            yield f"the setting {name} has no effect; write AzureWebJobs.{function}.Disabled"
        elif text.strip().lower() not in TRUE:
            yield f"the setting {name} is {text!r} and has no effect; only true or 1 switches {function} off"


def files(app: Path) -> Iterator[str]:
    """Descriptions of functions that are not read, because of their names or places."""
    folders = [each for each in sorted(app.iterdir()) if each.is_dir() and not each.name.startswith(".") and each.name not in _OTHERS]
    if (app / FILE).is_file():
        yield f"{app / FILE} is not read; a function has a folder of its own, with {FILE} in it"
    for folder in folders:
        for each in sorted(folder.iterdir()):
            if each.name != FILE and each.name.lower() == FILE:
                yield f"{each} is not read; its name must be {FILE}, in lower case"
            elif each.is_dir() and (each / FILE).is_file():
                yield f"{each / FILE} is not read; the folder of a function stands directly in {app}"


def function(described: Function, ignored: Mapping[str, object]) -> Iterator[str]:
    """Parts of one function that are not what they seem. `ignored` is what else its function.json says."""
    for name in ("disabled", "excluded"):
        if str(ignored.get(name, False)).lower() == "true":
            setting = f"AzureWebJobs.{described.name}.Disabled"
            yield f"{name} in the {FILE} of {described.name} has no effect; set {setting} to true, which switches it off"
    if isinstance(described.trigger, HttpTrigger):
        route = described.trigger.route
        for reference in _REFERENCE.findall(" ".join((route.text, *route.written))):
            yield f"{reference} in the route or methods of {described.name} is not replaced, as it is in schedules, queues and topics"
