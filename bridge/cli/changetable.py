"""Prints the findings of `bridge check`: as a table on a terminal, as one line for each change in pipes and CI, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.doctor.document import ConfigDocument
from bridge.files import textfile, yamlfile
from bridge.rollout import ChangedFile, RolloutChange, Weight

if TYPE_CHECKING:
    from bridge.cli.rollout import RolloutReport

_STYLES = {Weight.BREAKS: "red", Weight.UNJUDGED: "yellow", Weight.NOTE: "dim"}
#: Where the policy of an app names what a change is about, and where the file defines it.
_DEFINED = {"timeout": "timeouts", "retry": "retries", "circuitBreaker": "circuitBreakers"}


def show(screen: Screen, report: RolloutReport) -> Exit:
    """Print all changes. The exit code says whether something breaks or cannot be judged."""
    places = _ChangePlaces(report.before, report.after)
    if screen.as_json:
        screen.json(
            {
                "changes": [_json(each, places) for each in report.changes],
                "accepted": [_json(each, places) for each in report.accepted],
                "skipped": report.skipped,
                "inHand": dict(report.in_hand.counts),
                "inHandAtLeast": sorted(report.in_hand.at_least),
            }
        )
    else:
        _for_people(screen, report, places)
    return Exit.FAILED if any(each.breaks for each in report.changes) else Exit.OK


def _for_people(screen: Screen, report: RolloutReport, places: _ChangePlaces) -> None:
    if screen.out.is_terminal and report.changes:
        rows = [(str(each.kind.weight), each.kind.name, places.where(each), _what(each), each.kind.affects) for each in report.changes]
        screen.table(("", "kind", "where", "what", "affects"), rows)
        for kind in dict.fromkeys(each.kind for each in report.changes if each.kind.mend):
            screen.line(f"{kind.name}: {kind.mend}", _STYLES[kind.weight])
    else:
        for each in report.changes:
            screen.line(f"{places.where(each)}: {each.kind.weight} {each.kind.name}: {_what(each)}", _STYLES[each.kind.weight])
            if each.kind.affects:
                screen.line(f"    affects: {each.kind.affects}")
                screen.line(f"    fix:     {each.kind.mend}")
    _summary(screen, report)


def _summary(screen: Screen, report: RolloutReport) -> None:
    for name in report.in_hand.counts:
        screen.note(report.in_hand.sentence(name), "yellow")
    for each in report.accepted:
        screen.note(f"accepted: {each.kind.name}: {_what(each)}")
    for text in report.skipped:
        screen.note(f"skipped: {text}", "yellow")
    counts = {weight: sum(each.kind.weight is weight for each in report.changes) for weight in Weight}
    words = {Weight.BREAKS: "break", Weight.UNJUDGED: "cannot be judged", Weight.NOTE: "are only worth knowing"}
    told = ", ".join(f"{count} {words[weight]}" for weight, count in counts.items() if count)
    screen.note(f"{len(report.changes)} changes: {told}." if report.changes else "Nothing changes for callers and runs in hand.")


def _what(each: RolloutChange) -> str:
    return f"{each.subject or 'function apps'}: {each.message}"


def _json(each: RolloutChange, places: _ChangePlaces) -> dict[str, Any]:
    file, line = places.place(each)
    return {
        "kind": each.kind.name,
        "weight": str(each.kind.weight),
        "subject": each.subject,
        "message": each.message,
        "hurts": each.kind.affects,
        "mend": each.kind.mend,
        "file": str(file) if file else None,
        "line": line,
        "path": ".".join(map(str, each.path)),
    }


class _ChangePlaces:
    """Finds the file and line of a change: in the new file, or in the old one if the new one does not have it any longer."""

    def __init__(self, before: Mapping[ChangedFile, Path], after: Mapping[ChangedFile, Path]) -> None:
        self._files = [after, before]
        self._read: dict[Path, Sequence[ConfigDocument]] = {}

    def where(self, each: RolloutChange) -> str:
        """The file and line as text, as far as they are known."""
        file, line = self.place(each)
        return f"{file}:{line}" if line else f"{file}" if file else "running"

    def place(self, each: RolloutChange) -> tuple[Path | None, int | None]:
        """The file and the line, each None where it is not known."""
        for file in (files[each.file] for files in self._files if each.file in files):
            document = self._document(file, each)
            if document is not None:
                return file, document.line(*self._path(document, each))
        return next(
            (files[each.file] for files in self._files if each.file in files and each.file is not ChangedFile.CATALOGUE), None
        ), None

    def _document(self, file: Path, each: RolloutChange) -> ConfigDocument | None:
        documents = self._documents(file)
        if each.file is ChangedFile.CATALOGUE:
            return next((document for document in documents if document.name == each.subject), None)
        return documents[0] if documents else None

    def _path(self, document: ConfigDocument, each: RolloutChange) -> tuple[str | int, ...]:
        if each.file is not ChangedFile.POLICIES:
            return each.path
        (key,) = each.path
        policies, app = ("spec", "policies", _DEFINED[str(key)]), ("spec", "targets", "apps", each.subject)
        named = document.get(*app, key)
        if isinstance(named, str):
            return (*policies, named)
        default = next((name for name in document.mapping(*policies) if str(name).startswith("DefaultApp")), None)
        return app if document.get(*app) is not None else (*policies, str(default)) if default else ("spec",)

    def _documents(self, file: Path) -> Sequence[ConfigDocument]:
        if file not in self._read:
            self._read[file] = list(_documents(file))
        return self._read[file]


def _documents(file: Path) -> list[ConfigDocument]:
    """The documents of a file that was read before; none if it has been removed since, or cannot be read any longer."""
    try:
        text = textfile.read(file)
        return [ConfigDocument(file, text, value, number, node) for number, (node, value) in enumerate(yamlfile.placed(text), 1)]
    except (OSError, ValueError, yaml.YAMLError):
        return []
