"""Route templates of HTTP functions, as ASP.NET matches them: `things/{kind}/{id?}`, `files/{*path}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

_PARAMETER = re.compile(r"\{(\*?)([A-Za-z_]\w*)(\??)\}")


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a template between slashes. `text` is lower case, or the name of the parameter."""

    text: str
    rank: int  #: 0 a word, 1 a parameter, 2 an optional one, 3 the rest of the path; of two routes the lower ranks win


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one function. No methods means every method."""

    function: str
    segments: tuple[Segment, ...]
    methods: frozenset[str]


@dataclass(frozen=True, slots=True)
class Match:
    """The function that answers, and its route parameters."""

    function: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WrongMethod:
    """The path exists, with these methods only."""

    allowed: frozenset[str]


def parse(template: str) -> tuple[Segment, ...]:
    """The segments of a template. Raises ValueError with what is not understood."""
    parts = [part for part in template.strip("/").split("/") if part]
    segments = tuple(_segment(part, last=index == len(parts) - 1) for index, part in enumerate(parts))
    names = [each.text for each in segments if each.rank]
    if len(set(names)) < len(names):
        raise ValueError("names a parameter twice")
    return segments


def _segment(part: str, *, last: bool) -> Segment:
    if "{" not in part and "}" not in part:
        return Segment(unquote(part).lower(), 0)
    parameter = _PARAMETER.fullmatch(part)
    if parameter is None:
        raise ValueError(f"has {part}; a parameter must be a whole segment without constraint or default: {{name}}, {{name?}} or {{*rest}}")
    rank = 3 if parameter[1] else 2 if parameter[3] else 1
    if rank > 1 and not last:
        raise ValueError(f"has {part} before the end; only the last segment may be optional or take the rest")
    return Segment(parameter[2], rank)


class RouteTable:
    """The routes of one app, below its prefix."""

    def __init__(self, routes: Iterable[Route], prefix: str) -> None:
        self._prefix = tuple(part.lower() for part in prefix.split("/") if part)
        self._routes = sorted(routes, key=lambda route: [segment.rank for segment in route.segments])

    def match(self, method: str, path: str) -> Match | WrongMethod | None:
        """What answers `path` (percent-encoded, without query); None if nothing is there."""
        parts = [unquote(part) for part in path.split("/") if part]
        depth = len(self._prefix)
        if tuple(part.lower() for part in parts[:depth]) != self._prefix:
            return None
        allowed: set[str] = set()
        for route in self._routes:
            parameters = _parameters(route.segments, parts[depth:])
            if parameters is None:
                continue
            if not route.methods or method in route.methods:
                return Match(route.function, parameters)
            allowed |= route.methods
        return WrongMethod(frozenset(allowed)) if allowed else None


def _parameters(segments: tuple[Segment, ...], parts: list[str]) -> dict[str, str] | None:
    """The parameters if the template fits the path, else None."""
    parameters: dict[str, str] = {}
    for index, segment in enumerate(segments):
        if segment.rank == 3:
            parameters[segment.text] = "/".join(parts[index:])
            return parameters
        if index >= len(parts):
            return parameters if segment.rank == 2 else None
        if segment.rank:
            parameters[segment.text] = parts[index]
        elif parts[index].lower() != segment.text:
            return None
    return parameters if len(parts) == len(segments) else None
