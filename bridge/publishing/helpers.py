"""Finds the helper modules of the bridge that an app's code uses but its folder does not contain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bridge.files import packaged, textfile
from bridge.local.functions.apps import Language
from bridge.publishing import contents
from bridge.publishing.contents import PackedFile

_PYTHON = ("bridge_result", "bridge_invocation")
_MODULE = "Modules/Automation.Bridge"
_SCRIPTS = (".ps1", ".psm1", ".psd1")
_LIBRARIES = (".python_packages/", "Modules/")  #: whose code is not the app's own


def missing(language: Language, files: Sequence[PackedFile]) -> list[PackedFile]:
    """The files to add to those of an app. Raises OSError."""
    if language is Language.PYTHON:
        return list(_python(files))
    return _powershell(files) if language is Language.POWERSHELL else []


def _python(files: Sequence[PackedFile]) -> Iterator[PackedFile]:
    own = {each.name.split("/", 1)[0].removesuffix(".py") for each in files}
    used = {name for text in _texts(files, (".py",)) for name in _imported(text)}
    for name in _PYTHON:
        if name in used - own:
            yield PackedFile(f"{name}.py", packaged.helper(f"python/{name}.py"))


def _imported(text: str) -> Iterator[str]:
    """The top-level names of the modules that a source imports; none if this Python cannot parse it."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _powershell(files: Sequence[PackedFile]) -> list[PackedFile]:
    """The module with all of its files, if a script names it or one of its commands."""
    if any(each.name.lower().startswith(f"{_MODULE.lower()}/") for each in files):
        return []
    module = packaged.helper(f"powershell/{_MODULE}")
    commands = [path.stem for path in (module / "Public").glob("*.ps1")]
    named = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, ['Automation.Bridge', *commands]))})(?![\w-])", re.IGNORECASE)
    return contents.below(module, f"{_MODULE}/") if any(map(named.search, _texts(files, _SCRIPTS))) else []


def _texts(files: Iterable[PackedFile], suffixes: Sequence[str]) -> Iterator[str]:
    """The app's own sources."""
    for each in files:
        if isinstance(each.content, Path) and each.name.lower().endswith(tuple(suffixes)) and not each.name.startswith(_LIBRARIES):
            try:
                yield textfile.read(each.content)
            except UnicodeDecodeError:
                continue
