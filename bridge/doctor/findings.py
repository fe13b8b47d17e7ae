"""What a rule finds, and the list of all rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.doctor import known
from bridge.doctor.document import ConfigDocument, Key, Span

if TYPE_CHECKING:
    from bridge.doctor.project import DoctorProject


class FindingLevel(StrEnum):
    """How bad it is. Advice is shown on request and is never a reason to fail."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True)
class TextFix:
    """A change that mends the finding and needs no decision: this part of the file's text becomes another."""

    span: Span
    text: str


@dataclass(frozen=True)
class Hit:
    """A place that a rule does not like: what is wrong with it, and what to do."""

    file: Path
    line: int
    message: str
    mend: str
    fix: TextFix | None = None


@dataclass(frozen=True)
class DoctorRule:
    """A rule. `why` is what happens if nobody mends it; `of_lack` is whether it misses something, which is not asked of a patch."""

    name: str
    level: FindingLevel
    why: str
    check: Callable[[DoctorProject], Iterator[Hit]] = field(repr=False, compare=False)
    of_lack: bool = False


@dataclass(frozen=True)
class DoctorFinding:
    """A hit with its rule."""

    rule: DoctorRule
    hit: Hit


UNSURE = "Remove it, or correct the name."  #: the mend where nothing else is known of a name
RULES: dict[str, DoctorRule] = {}
Check = Callable[["DoctorProject"], Iterator[Hit]]


def rule(name: str, level: FindingLevel, why: str, *, of_lack: bool = False) -> Callable[[Check], Check]:
    """Put the function into the list of rules."""

    def listed(check: Check) -> Check:
        RULES[name] = DoctorRule(name, level, why, check, of_lack)
        return check

    return listed


def hit(document: ConfigDocument, path: tuple[Key, ...], message: str, mend: str, fix: TextFix | None = None) -> Hit:
    """A hit at the path of a document."""
    return Hit(document.file, document.line(*path), message, mend, fix)


def replacing(span: Span | None, text: str) -> TextFix | None:
    """The fix that puts the text at the place, if the place is known."""
    return None if span is None else TextFix(span, text)


def misspelt(found: Hit, document: ConfigDocument, path: tuple[Key, ...], names: Iterable[str], *, is_key: bool = False) -> Hit:
    """The hit at a name that is none of `names`; if it is one of those misspelt, the mend and the fix are to write that.

    The name is the value at the path, or the last key of the path if `is_key`.
    """
    name = str(path[-1] if is_key else document.get(*path, default=""))
    meant = known.near(name, names := list(names))
    if meant is None:
        other = known.perhaps(name, names)
        return replace(found, mend=f"{found.mend} Perhaps {other} is meant.".lstrip()) if other else found
    span = document.key_span(*path) if is_key else document.value_span(*path)
    quote = document.text[span[0]] if span and document.text[span[0]] in "\"'" else ""
    return replace(found, mend=f"Write {meant}.", fix=replacing(span, f"{quote}{meant}{quote}"))
