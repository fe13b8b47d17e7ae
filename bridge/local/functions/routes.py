"""The routes of one app: which function a request is for.

As in Azure there is no precedence: the functions are tried in the order of their names, and the first one whose template and methods fit
answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from bridge.local.functions import routetemplate
from bridge.local.functions.routetemplate import RouteTemplate

_RESERVED = ("admin", "runtime")
_WITHOUT_PREFIX = (
    'Begin the route without /, or set extensions.http.routePrefix in host.json to "", as AsgiFunctionApp and WsgiFunctionApp need it'
)


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one function. `methods` is None for every method; an empty set is no method at all."""

    function: str
    text: str  #: the template below the prefix
    methods: frozenset[str] | None
    written: tuple[str, ...] = ()  #: the methods as they are written

    def template(self, prefix: str) -> str:
        """The whole template."""
        return f"{prefix}/{self.text}" if prefix else self.text

    def described(self, prefix: str) -> str:
        """The route as the Functions host lists it at its start: `'api/a' [get,post] to 'A'`."""
        methods = "all" if self.methods is None else ",".join(self.written)
        return f"'{prefix}/{self.text}' [{methods}] to '{self.function}'"


@dataclass(frozen=True, slots=True)
class Match:
    """The function that answers, and its route parameters; an optional one that is not there is None."""

    function: str
    parameters: Mapping[str, str | None]
    broken: str = ""  #: why the function cannot be called: its route has a pattern that is none


def conflict(route: Route, others: Iterable[Route]) -> str:
    """Why the route cannot be there beside `others`; nothing if it can. Words of the Functions host."""
    if route.text.lower().startswith(_RESERVED):
        return "The specified route conflicts with one or more built in routes."
    for other in others:
        meets = route.methods is None or other.methods is None or bool(route.methods & other.methods)
        if other.text.lower() == route.text.lower() and meets:
            return f"The route specified conflicts with the route defined by function '{other.function}'."
    return ""


class RouteTable:
    """The routes of one app, below its prefix. Raises ValueError for the first template that does not parse."""

    def __init__(self, routes: Iterable[Route], prefix: str) -> None:
        ordered = sorted(routes, key=lambda route: route.function.upper())
        self._routes = [(route, _parsed(route, prefix)) for route in ordered]
        #: Most requests go to few paths. What does not fit any route is remembered too, so the number of entries is bounded.
        self.match = lru_cache(maxsize=1024)(self._match)

    def _match(self, method: str, path: str) -> Match | None:
        """What answers the decoded path; None if nothing is there."""
        for route, template in self._routes:
            if route.methods is not None and method.upper() not in route.methods:
                continue
            try:
                parameters = routetemplate.match(template, path)
            except re.error as wrong:
                return Match(route.function, {}, f"its route {route.text!r} has a pattern that is none: {wrong}")
            if parameters is not None:
                return Match(route.function, parameters)
        return None

    def hidden(self) -> dict[str, str]:
        """The functions whose route another one with an earlier name takes first, each with that one's name."""
        found: dict[str, str] = {}
        for index, (route, template) in enumerate(self._routes):
            for earlier, wider in self._routes[:index]:
                if _covers(earlier, route) and _takes_all_of(wider, template):
                    found[route.function] = earlier.function
                    break
        return found


def _parsed(route: Route, prefix: str) -> RouteTemplate:
    try:
        return routetemplate.parse(route.template(prefix))
    except ValueError as wrong:
        mend = _WITHOUT_PREFIX if prefix and route.text.startswith("/") else "Mend its route"
        raise ValueError(
            f"{route.function} has the route {route.template(prefix)!r}, which {wrong}. {mend}; until then no function of this app runs"
        ) from None


def _covers(earlier: Route, later: Route) -> bool:
    return earlier.methods is None or (later.methods is not None and later.methods <= earlier.methods)


def _takes_all_of(wider: RouteTemplate, narrower: RouteTemplate) -> bool:
    """Whether every path of the narrower template surely fits the wider one; only plain segments are compared."""
    for index, segment in enumerate(wider.segments):
        part = segment[0]
        if not isinstance(part, str) and part.takes_rest and not part.constraints:
            return True
        if index >= len(narrower.segments) or len(segment) > 1:
            return False
        if isinstance(part, str):
            if narrower.segments[index] != segment:
                return False
        elif part.constraints:
            return False
    return len(wider.segments) == len(narrower.segments) and not any(part.takes_rest for part in narrower.parameters)
