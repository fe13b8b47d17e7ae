"""Rules, what they find, and the list of all rules."""

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
    """The severity of a finding. Advice is shown on request only and never changes the exit code."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True)
class TextFix:
    """A change that fixes a finding and needs no decision: `text` replaces the part `span` of the file."""

    span: Span
    text: str


@dataclass(frozen=True)
class Hit:
    """A place where a rule found a problem: what is wrong, and how to fix it."""

    file: Path
    line: int
    message: str
    mend: str
    fix: TextFix | None = None


@dataclass(frozen=True)
class DoctorRule:
    """A rule. `why` says what happens if the problem stays. `of_lack` marks rules about something missing, which patches may omit."""

    name: str
    level: FindingLevel
    why: str
    check: Callable[[DoctorProject], Iterator[Hit]] = field(repr=False, compare=False)
    of_lack: bool = False


@dataclass(frozen=True)
class DoctorFinding:
    """A hit together with its rule."""

    rule: DoctorRule
    hit: Hit


UNSURE = "Remove it, or correct the name."  #: what to do about an unknown name that resembles no known one
RULES: dict[str, DoctorRule] = {}
Check = Callable[["DoctorProject"], Iterator[Hit]]


def rule(name: str, level: FindingLevel, why: str, *, of_lack: bool = False) -> Callable[[Check], Check]:
    """Register the decorated function as a rule."""

    def listed(check: Check) -> Check:
        RULES[name] = DoctorRule(name, level, why, check, of_lack)
        return check

    return listed


def hit(document: ConfigDocument, path: tuple[Key, ...], message: str, mend: str, fix: TextFix | None = None) -> Hit:
    """A hit at the path of a document."""
    return Hit(document.file, document.line(*path), message, mend, fix)


def replacing(span: Span | None, text: str) -> TextFix | None:
    """A fix that replaces the span with the text; None if the span is not known."""
    return None if span is None else TextFix(span, text)


def misspelt(found: Hit, document: ConfigDocument, path: tuple[Key, ...], names: Iterable[str], *, is_key: bool = False) -> Hit:
    """The hit at a name that is not among `names`. If it is a misspelling of one of them, the hit says to write that one.

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
