"""Finds the function app that is to be published, by its folder, its name in the catalogue, or a path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.local.functions import apps
from bridge.local.functions.apps import AppFolder
from bridge.local.functions.rpc import dotnetapp, workerconfig

_PUBLISHED = "bin/**/publish/" + workerconfig.FILE


def find(functions: Path, named: str) -> AppFolder:
    """The app that `named` means: `python` or `python-functions` below `functions`, or the path of its folder.

    Raises ConfigurationError.
    """
    folder = next((each.resolve() for each in _meant(functions, named) if each.is_dir()), None)
    if folder is None:
        known = sorted(each.name for each in functions.iterdir() if each.is_dir()) if functions.is_dir() else []
        raise ConfigurationError(
            [f"{named!r} is not a function app: it is not a folder, and the apps of {functions} are {', '.join(known) or 'none'}."]
        )
    if dotnetapp.is_source(folder) and not dotnetapp.is_published(folder):
        raise ConfigurationError([_unpublished(folder)])
    language = apps.language_of(folder)
    if language is None:
        raise ConfigurationError([f"{folder} is not a function app: it has no {apps.PARTS.format(also='and no')}."])
    return AppFolder(apps.name_of(folder), folder, language)


def _meant(functions: Path, named: str) -> Iterator[Path]:
    if named and "/" not in named and named not in (".", ".."):
        yield functions / named
        yield functions / named.removesuffix("-functions")
    if named:
        yield Path(named)


def _unpublished(folder: Path) -> str:
    target = folder.parent / f"{folder.name}-published"
    mend = f"Run `dotnet publish {folder} -c Release -o {target}`, and package {target}."
    if found := sorted(folder.glob(_PUBLISHED)):
        mend += f" There is an output in {found[0].parent} already, of whatever age."
    return f"{folder} is the source of a C# app, and what Azure runs is what `dotnet publish` makes of it. {mend}"
