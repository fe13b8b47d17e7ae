"""Compares configurations for `bridge check`: new files with a running bridge or with other files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bridge import catalog, resilience, settings
from bridge.api.configuration import configuration
from bridge.catalog import Catalog
from bridge.cli import changetable, inhand
from bridge.cli.exits import Exit
from bridge.cli.inhand import RunsInHand
from bridge.cli.screen import Screen, short
from bridge.client import BridgeClient, ConfigurationView, Problem
from bridge.errors import ConfigurationError
from bridge.files import packaged, yamlfile
from bridge.resilience import Policies
from bridge.rollout import KINDS, ChangedFile, Compared, RolloutChange, changes, concerned
from bridge.settings import Settings, sources

T = TypeVar("T")
_HOW = "Name another file with --from."
#: Between files, what the environment says counts only as far as it names them, or makes settings usable that need tokens.
_NAMING = frozenset({"BRIDGE_CONFIG", "BRIDGE_CATALOGUE", "BRIDGE_RESILIENCY", "BRIDGE_TOKENS"})


@dataclass(frozen=True)
class RolloutRequest:
    """The options of the command."""

    catalogue: str | None = None
    resiliency: str | None = None
    config: str | None = None
    before: tuple[Path, ...] = ()
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class RolloutSide:
    """The configuration in files, and which of the files exist. A missing file stands for the defaults and is not compared."""

    configuration: ConfigurationView
    files: Mapping[ChangedFile, Path]


@dataclass
class RolloutReport:
    """The changes, what was not compared and why, and how many runs in progress the changes concern."""

    changes: list[RolloutChange]
    accepted: list[RolloutChange] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    in_hand: RunsInHand = field(default_factory=RunsInHand)
    before: Mapping[ChangedFile, Path] = field(default_factory=dict)
    after: Mapping[ChangedFile, Path] = field(default_factory=dict)


def compare_files(screen: Screen, request: RolloutRequest) -> Exit:
    """Compare with other files, and print the result."""
    try:
        naming = {name: value for name, value in os.environ.items() if name in _NAMING}
        old, new = _old_side(request.before, naming), _new_side(request, naming)
        wanted = _wanted(request.accepted)
    except ConfigurationError as fault:
        return _unusable(screen, fault)
    compared = Compared(ChangedFile.POLICIES in {**old.files} and ChangedFile.POLICIES in new.files, _has_settings(old, new))
    report = _report(changes(old.configuration, new.configuration, compared), wanted)
    report.before, report.after = old.files, new.files
    report.skipped += [f"the {file} of both sides are not compared, because one of them is not named" for file in _missing(compared)]
    return changetable.show(screen, report)


async def compare_running(client: BridgeClient, screen: Screen, request: RolloutRequest) -> Exit:
    """Compare with the running bridge, and print the result. Raises Problem, Unreachable."""
    try:
        new, wanted = _new_side(request, os.environ), _wanted(request.accepted)
    except ConfigurationError as fault:
        return _unusable(screen, fault)
    running, why = await _running(client)
    compared = Compared(not why and ChangedFile.POLICIES in new.files, not why and ChangedFile.SETTINGS in new.files)
    report = _report(changes(running, new.configuration, compared), wanted)
    report.after = new.files
    report.skipped += (
        [why] if why else [f"the {file} are not compared, because no file with new ones is named" for file in _missing(compared)]
    )
    names = concerned(report.changes, running, new.configuration)
    report.in_hand = await inhand.count(client, names, all_read=not why)
    return changetable.show(screen, report)


async def _running(client: BridgeClient) -> tuple[ConfigurationView, str]:
    """The running configuration, and the reason if policies and settings are not known."""
    try:
        return await client.configuration(), ""
    except Problem as problem:
        if problem.status not in (403, 404):
            raise
        reason = "it needs the role admin" if problem.status == 403 else "this bridge is older and does not tell them"
    known = configuration(Catalog(), Policies(), Settings())
    return {**known, "automations": await client.automations()}, f"policies and settings that run are not compared: {reason}"


def _new_side(request: RolloutRequest, environ: Mapping[str, str]) -> RolloutSide:
    """Raises ConfigurationError."""
    flags = {"catalogue": request.catalogue, "resiliency": request.resiliency, "config": request.config}
    found = settings.load(flags, environ, Path.cwd())
    files = {ChangedFile.CATALOGUE: short(found.catalogue), ChangedFile.POLICIES: short(found.resiliency)}
    if packaged.FOLDER in found.catalogue.parents:
        raise ConfigurationError(["no catalogue is named, and functions/automations.yaml is not here; name it with --catalogue"])
    if packaged.FOLDER in found.resiliency.parents:
        del files[ChangedFile.POLICIES]
    if (named := Path(request.config or environ.get("BRIDGE_CONFIG") or sources.FILE)).exists():
        files[ChangedFile.SETTINGS] = named
    return RolloutSide(_loaded(found.catalogue, found.resiliency, found), files)


def _old_side(paths: Sequence[Path], environ: Mapping[str, str]) -> RolloutSide:
    """Raises ConfigurationError."""
    files: dict[ChangedFile, Path] = {}
    for path in paths:
        kind = _kind(path)
        if kind in files:
            raise ConfigurationError([f"--from names two files with {kind}: {files[kind]} and {path}; name one of each"])
        files[kind] = path
    if ChangedFile.CATALOGUE not in files:
        raise ConfigurationError(["--from names no catalogue; name the file with the automations that run, too"])
    config = files.get(ChangedFile.SETTINGS)
    found = settings.load({"config": str(config.absolute())}, environ, config.absolute().parent) if config else Settings()
    return RolloutSide(_loaded(files[ChangedFile.CATALOGUE], files.get(ChangedFile.POLICIES), found), files)


def _kind(path: Path) -> ChangedFile:
    documents = [each for each in yamlfile.read(path, _HOW) if each is not None]
    kinds = {each.get("kind") for each in documents if isinstance(each, dict)}
    if "Automation" in kinds:
        return ChangedFile.CATALOGUE
    if "Resiliency" in kinds:
        return ChangedFile.POLICIES
    if kinds == {None}:
        return ChangedFile.SETTINGS
    raise ConfigurationError([f"{path}: is neither a catalogue nor policies nor settings; {_HOW[0].lower()}{_HOW[1:]}"])


def _loaded(catalogue: Path, policies: Path | None, found: Settings) -> ConfigurationView:
    """Raises ConfigurationError with the problems of both files."""
    problems: list[str] = []

    def read(load: Callable[[Path], T], path: Path, otherwise: T) -> T:
        try:
            return load(path)
        except ConfigurationError as fault:
            problems.extend(fault.problems)
            return otherwise

    automations = read(catalog.load, catalogue, Catalog())
    rules = read(resilience.load, policies, Policies()) if policies else Policies()
    if problems:
        raise ConfigurationError(problems)
    return configuration(automations, rules, found)


def _has_settings(old: RolloutSide, new: RolloutSide) -> bool:
    return ChangedFile.SETTINGS in old.files and ChangedFile.SETTINGS in new.files


def _missing(compared: Compared) -> list[ChangedFile]:
    known = {ChangedFile.POLICIES: compared.policies, ChangedFile.SETTINGS: compared.settings}
    return [file for file, there in known.items() if not there]


def _wanted(accepted: Sequence[str]) -> set[tuple[str, str]]:
    """The accepted kinds of changes, each with a subject or for all subjects. Raises ConfigurationError."""
    found = {(kind, subject) for kind, _, subject in (each.partition(":") for each in accepted)}
    unknown = sorted(kind for kind, _ in found if kind not in KINDS)
    if unknown:
        raise ConfigurationError(
            [f"--accept {each}: there is no such kind of change; they are {', '.join(sorted(KINDS))}" for each in unknown]
        )
    return found


def _report(found: Sequence[RolloutChange], wanted: set[tuple[str, str]]) -> RolloutReport:
    def is_wanted(each: RolloutChange) -> bool:
        return each.breaks and bool(wanted & {(each.kind.name, ""), (each.kind.name, each.subject)})

    return RolloutReport([each for each in found if not is_wanted(each)], [each for each in found if is_wanted(each)])


def _unusable(screen: Screen, fault: ConfigurationError) -> Exit:
    screen.problems(fault)
    return Exit.USAGE
