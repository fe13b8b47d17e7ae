"""Route templates as ASP.NET Core reads and matches them: `things/{kind}/{id:int?}`, `files/{*path}`, `{name}.{extension?}`.

The rules are those of Microsoft.AspNetCore.Routing (RoutePatternParser, RoutePatternMatcher), tried with the Functions host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.local.functions import routeconstraints
from bridge.local.functions.routeconstraints import Constraint

_FORBIDDEN_IN_NAMES = "/{}?*"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of a template that takes text from the path. `default` is None if the path must have it."""

    name: str
    optional: bool = False
    takes_rest: bool = False
    default: str | None = None
    constraints: tuple[Constraint, ...] = ()


Part = str | Parameter
"""Literal text, or a parameter."""


@dataclass(frozen=True, slots=True)
class RouteTemplate:
    """A template; each segment between slashes has at least one part."""

    segments: tuple[tuple[Part, ...], ...]

    @property
    def parameters(self) -> list[Parameter]:
        """All parameters, in order."""
        return [part for segment in self.segments for part in segment if isinstance(part, Parameter)]


def parse(text: str) -> RouteTemplate:
    """Read a template. Raises ValueError with what does not parse, which stops a whole app in Azure."""
    trimmed = text.removeprefix("~") if text.startswith("~/") else text
    segments: list[tuple[Part, ...]] = []
    rest = trimmed.removeprefix("/")
    while rest:
        if rest.startswith("/"):
            raise ValueError("has two / in a row")
        segment, rest = _segment(rest)
        segments.append(segment)
        rest = rest.removeprefix("/")
    template = RouteTemplate(tuple(segments))
    _check(template)
    return template


def _segment(text: str) -> tuple[tuple[Part, ...], str]:
    parts: list[Part] = []
    while text and text[0] != "/":
        if text[0] == "{" and not text.startswith("{{"):
            raw, text = _parameter_text(text)
            parts.append(_parameter(raw))
        else:
            literal, text = _literal(text)
            parts.append(literal)
    return tuple(parts), text


def _literal(text: str) -> tuple[str, str]:
    found, index = "", 0
    while index < len(text) and text[index] != "/":
        character = text[index]
        if character in "{}":
            if not text.startswith(character * 2, index):
                if character == "}" or index + 1 == len(text):
                    raise ValueError("has a { or } without its counterpart")
                break
            index += 1
        found += character
        index += 1
    if "?" in found:
        raise ValueError(f"has a ? in {found!r}, which only a parameter may have")
    return found, text[index:]


def _parameter_text(text: str) -> tuple[str, str]:
    """What stands between the braces, with doubled ones undone, and what follows."""
    found, index = "", 1
    while index < len(text):
        character = text[index]
        if character in "{}":
            if text.startswith(character * 2, index):
                index += 1
            elif character == "}":
                return found, text[index + 1 :]
            else:
                raise ValueError("has a { inside a parameter, where it must be doubled")
        found += character
        index += 1
    raise ValueError("has a { without its }")


def _parameter(raw: str) -> Parameter:
    takes_rest = raw.startswith("*")
    body = raw[2:] if raw.startswith("**") else raw[1:] if takes_rest else raw
    optional = body.endswith("?")
    body = body.removesuffix("?")
    end = next((index for index, character in enumerate(body) if index and character in ":="), len(body))
    name, tail = body[:end], body[end:]
    if not name or any(character in _FORBIDDEN_IN_NAMES for character in name):
        raise ValueError(f"has a parameter with the name {name!r}")
    constraints, default = _constraints_and_default(tail)
    if optional and takes_rest:
        raise ValueError(f"has the parameter {name}, which takes the rest of the path and cannot be optional")
    if optional and default is not None:
        raise ValueError(f"has the optional parameter {name} with a default")
    return Parameter(name, optional, takes_rest, default, tuple(map(routeconstraints.parse, constraints)))


def _constraints_and_default(tail: str) -> tuple[list[str], str | None]:
    """The constraints after a name, such as `:int:range(1,5)`, and the default after `=`."""
    constraints: list[str] = []
    while tail.startswith(":"):
        end = _constraint_end(tail)
        if constraint := tail[1:end]:
            constraints.append(constraint)
        tail = tail[end:]
    return constraints, tail[1:] if tail.startswith("=") else None


def _constraint_end(tail: str) -> int:
    """Where the constraint that `tail` begins with ends; an argument in parentheses may hold any character."""
    index = 1
    while index < len(tail):
        if tail[index] == "(":
            closing = next((at for at in range(index, len(tail)) if tail[at] == ")" and (at + 1 == len(tail) or tail[at + 1] in ":=")), -1)
            return closing + 1 if closing >= 0 else len(tail)
        if tail[index] in ":=":
            return index
        index += 1
    return index


def _check(template: RouteTemplate) -> None:
    names = [each.name.lower() for each in template.parameters]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"names the parameter {twice} twice")
    for number, segment in enumerate(template.segments):
        for index, part in enumerate(segment):
            if isinstance(part, Parameter):
                _check_place(part, segment, index, is_last=number == len(template.segments) - 1)


def _check_place(part: Parameter, segment: Sequence[Part], index: int, *, is_last: bool) -> None:
    if part.takes_rest and (not is_last or len(segment) > 1):
        raise ValueError(f"has the parameter {part.name}, which takes the rest of the path, before its end")
    if index and isinstance(segment[index - 1], Parameter):
        raise ValueError(f"has the parameter {part.name} directly after another; a literal must stand between them")
    if part.optional and len(segment) > 1 and (index != len(segment) - 1 or segment[index - 1] != "."):
        raise ValueError(f"has the optional parameter {part.name} inside a segment; it may only be the last part, after a dot")


def match(template: RouteTemplate, path: str) -> dict[str, str | None] | None:
    """The parameters, if the decoded path fits; an optional one that is not there is None.

    Raises re.error for a constraint that is no pattern.
    """
    pieces = _pieces(path)
    found: dict[str, str | None] = {}
    for index, segment in enumerate(template.segments):
        first = segment[0]
        if isinstance(first, Parameter) and first.takes_rest:
            rest = "/".join(pieces[index:]) + ("/" if path.endswith("/") and len(pieces) > index else "")
            if index < len(pieces) and not pieces[index]:
                return None
            found[first.name] = rest or first.default
            return _constrained(template, found)
        if index >= len(pieces):
            if not _may_lack(segment):
                return None
        elif not pieces[index] or not _match_segment(segment, pieces[index], found):
            return None
    return _constrained(template, found) if len(pieces) <= len(template.segments) else None


def _pieces(path: str) -> list[str]:
    """The parts between slashes. One slash at the end is no part."""
    trimmed = path.removeprefix("/").removesuffix("/") if len(path) > 1 else ""
    return trimmed.split("/") if trimmed or path.startswith("//") else []


def _may_lack(segment: Sequence[Part]) -> bool:
    part = segment[0]
    return len(segment) == 1 and isinstance(part, Parameter) and (part.optional or part.default is not None)


def _match_segment(segment: Sequence[Part], piece: str, found: dict[str, str | None]) -> bool:
    first = segment[0]
    if len(segment) == 1:
        if isinstance(first, str):
            return first.lower() == piece.lower()
        found[first.name] = piece
        return True
    last = segment[-1]
    if isinstance(last, Parameter) and last.optional:
        if (taken := _match_parts(segment, piece)) is None and not piece.endswith("."):
            taken = _match_parts(segment[:-2], piece)
    else:
        taken = _match_parts(segment, piece)
    found.update(taken or {})
    return taken is not None


def _match_parts(parts: Sequence[Part], piece: str) -> dict[str, str | None] | None:
    """Match from the right, each literal as far right as it can stand, which leaves each parameter at least one character."""
    found: dict[str, str | None] = {}
    end, pending = len(piece), None
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, Parameter):
            pending = part
            continue
        start = piece.lower().rfind(part.lower(), 0, end - 1 if pending else end)
        if start < 0 or (index == len(parts) - 1 and start + len(part) != len(piece)):
            return None
        if pending:
            found[pending.name] = piece[start + len(part) : end]
            pending = None
        end = start
    if pending is None:
        return found if end == 0 else None
    found[pending.name] = piece[:end]
    return found if end else None


def _constrained(template: RouteTemplate, found: Mapping[str, str | None]) -> dict[str, str | None] | None:
    """All parameters, in the order of the template, if each that has a value keeps its constraints."""
    complete: dict[str, str | None] = {}
    for parameter in template.parameters:
        value = found.get(parameter.name)
        complete[parameter.name] = value = parameter.default if value is None else value
        if value is not None and not all(constraint(value) for constraint in parameter.constraints):
            return None
    return complete
