"""The draft of a catalogue entry for a function that exists. What its code does not show is a comment that says what to fill in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from bridge.catalog.mapping import FORM
from bridge.local.functions import routetemplate
from bridge.scaffold.existing import NOTHING, CodeFacts, ExistingFunction, FieldUse, InputPlace

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})
_SECRET = re.compile(r"pass(word|wd|phrase)?$|secret|token|api[_-]?key|credential|^pwd$", re.IGNORECASE)
_BODIES = ("POST", "PUT", "PATCH", "DELETE")
_OF_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_CONSTRAINTS = {"int": "integer", "long": "integer", "decimal": "number", "double": "number", "float": "number", "bool": "boolean"}
#: What the bridge or the connection sets.
_NOT_MAPPED = re.compile(
    r"content-|x-functions-key|traceparent|tracestate|host$|x-correlation-id|x-invocation|x-attempt|x-deadline", re.IGNORECASE
)

Tree = dict[str, Any]
"""Fields by name; each is a FieldUse, or a Tree for an object."""


def entry(automation: str, function: ExistingFunction) -> str:
    """The YAML text of the entry, which can be loaded as it is."""
    lines = [
        f"# Drafted from {function.app}/{function.name} ({function.source}). FILL IN asks for what its code does not show.",
        *(f"# FILL IN: {text}." for text in function.facts.notes),
        "apiVersion: bridge/v1",
        "kind: Automation",
        "metadata:",
        f"  name: {automation}",
        f"  description: {json.dumps(function.facts.description, ensure_ascii=False)}"
        + ("" if function.facts.description else "  # FILL IN: what it does, in a few words"),
        "spec:",
    ]
    target = _http(function) if function.trigger == "http" else _bus(function)
    lines += [*_input(target.uses), "  deadline: 2m  # FILL IN: the longest that a run may take, repeats included", "  targets:"]
    name = re.sub(r"[^a-z0-9-]+", "-", function.name.lower()).strip("-")[:24] or "function"
    return "\n".join([*lines, f"  - name: {name}", *target.lines]) + "\n"


class _Target:
    """The lines of a target, and the fields of the input that it needs."""

    def __init__(self, uses: list[FieldUse], lines: list[str]) -> None:
        self.uses, self.lines = uses, lines


def _http(function: ExistingFunction) -> _Target:
    facts = function.facts
    body = [use for use in facts.uses if use.place in (InputPlace.BODY, InputPlace.FORM)]
    method = _method(function, has_body=bool(body) or facts.reads_raw)
    if method == "GET":
        body = []
    path, parameters, comments = _route(function.route, facts)
    in_body = {use.path[0] for use in body}
    either = {use.path[0] for use in facts.uses if use.place is InputPlace.QUERY} & in_body
    query = [use for use in facts.uses if use.place is InputPlace.QUERY and use.path[0] not in either]
    headers = [use for use in facts.uses if use.place is InputPlace.HEADER and not _NOT_MAPPED.match(use.path[0])]
    lines = [
        "    http:",
        f"      app: {function.app}",
        f"      method: {method}{_other_methods(function, method)}",
        f"      path: {_quoted(path)}",
    ]
    lines += [f"      # FILL IN: {text}." for text in comments]
    for kind, uses in (("parameters", parameters), ("query", query), ("headers", headers)):
        if uses:
            lines.append(f"      {kind}: {{{', '.join(f'{_key(use.path[0])}: {_quoted(_pointer(use.path[0]))}' for use in uses)}}}")
    if either:
        lines.append(f"      # The function takes {', '.join(sorted(either))} from the query too; here it is sent in the body.")
    lines += _body(facts, method, body, [*parameters, *query, *headers])
    lines.append("      # FILL IN: if it answers 200 with an error inside, say how that is seen, such as failedWhen: {pointer: /error}")
    return _Target([*parameters, *query, *headers, *body], lines)


def _method(function: ExistingFunction, *, has_body: bool) -> str:
    allowed = [each for each in function.methods if each in ("GET", *_BODIES)]
    wanted = next((each for each in _BODIES if not allowed or each in allowed), None) if has_body else None
    return wanted or ("GET" if not allowed or "GET" in allowed else allowed[0])


def _other_methods(function: ExistingFunction, method: str) -> str:
    others = [each for each in function.methods if each != method]
    return f"  # it takes {', '.join(others)} too" if others else ""


def _body(facts: CodeFacts, method: str, body: list[FieldUse], others: list[FieldUse]) -> list[str]:
    if any(use.place is InputPlace.FORM for use in body):
        return [f"      contentType: {FORM}"]
    if facts.reads_raw and not body and method != "GET":
        return [
            "      # FILL IN: it reads the body as text; for anything but JSON say contentType, and body: /field for one field of the input"
        ]
    if method != "GET" and not body and others and not facts.notes:
        return ["      body: none"]
    return []


def _route(route: str, facts: CodeFacts) -> tuple[str, list[FieldUse], list[str]]:
    """The path as the catalogue writes it, the fields that fill it, and what cannot be known."""
    try:
        template = routetemplate.parse(route)
    except ValueError as fault:
        return "/api/fill-in", [], [f"the route {route} {fault}; write the path"]
    uses, comments, pieces = [], [], []
    for segment in template.segments:
        for part in segment:
            if isinstance(part, str):
                pieces.append(part if _OF_PATH.fullmatch(part) else "fill-in")
                continue
            pieces.append(f"{{{part.name}}}")
            constraint = re.search(rf"{{\**{re.escape(part.name)}:([a-z]+)", route)
            kind = _CONSTRAINTS.get(constraint[1] if constraint else "", "string")
            uses.append(FieldUse(InputPlace.ROUTE, (part.name,), 0, kind, required=True))
            if part.optional or part.default is not None:
                comments.append(f"the path works without {part.name} too; here it is always sent. Take it out if it is not wanted")
            if part.takes_rest:
                comments.append(
                    f"{part.name} takes the rest of the path, and a value with / cannot be sent in it; write the path that is meant"
                )
        pieces.append("/")
    unknown = {use.path[0] for use in facts.uses if use.place is InputPlace.ROUTE} - {use.path[0] for use in uses}
    comments += [f"the code reads {name} from the route, which does not have it" for name in sorted(unknown)]
    return "/" + "".join(pieces).rstrip("/"), uses, comments


def _bus(function: ExistingFunction) -> _Target:
    entity = function.entity or "fill-in"
    body = [use for use in function.facts.uses if use.place is InputPlace.BODY]
    if function.facts.reads_event:
        return _Target(body, [f"    {function.trigger}: {{name: {_quoted(entity)}, attempts: 1}}"])
    lines = [f"    {function.trigger}: {{name: {_quoted(entity)}, attempts: 1, body: input, completes: settled}}"]
    lines.append("    # FILL IN: settled ends the run when the local host completes the message; for a function in Azure write published.")
    if function.trigger == "topic":
        lines.append(
            f"    # The subscription {function.subscription or 'of the function'} must take messages with the label of this automation."
        )
    return _Target(body, lines)


def _input(uses: list[FieldUse]) -> Iterator[str]:
    yield "  input:"
    yield "    type: object"
    tree: Tree = {}
    for use in uses:
        _grow(tree, use)
    required = [name for name, each in tree.items() if isinstance(each, FieldUse) and each.required]
    asked = (
        f"  # FILL IN: {'the others' if required else 'the fields'} that must be there; the code does not say"
        if len(required) < len(tree)
        else ""
    )
    yield f"    required: [{', '.join(map(_key, required))}]{asked}"
    if not tree:
        yield "    properties: {}  # FILL IN: the fields that it takes; none were found in its code"
        return
    yield "    properties:"
    yield from _properties(tree, "      ")


def _grow(tree: Tree, use: FieldUse) -> None:
    *above, last = use.path
    for name in above:
        child = tree.get(name)
        if not isinstance(child, dict):
            tree[name] = child = {}
        tree = child
    if not isinstance(tree.get(last), dict):
        known = tree.get(last)
        tree[last] = use if known is None or not known.type else known


def _properties(tree: Tree, indent: str) -> Iterator[str]:
    for name, each in tree.items():
        if isinstance(each, dict):
            yield f"{indent}{_key(name)}:"
            yield f"{indent}  type: object"
            yield f"{indent}  properties:"
            yield from _properties(each, indent + "    ")
        else:
            yield f"{indent}{_key(name)}: {_schema(name, each)}"


def _schema(name: str, use: FieldUse) -> str:
    kind = use.type or ("" if use.place is InputPlace.BODY else "string")  # everything but a body arrives as text
    facets = [f"type: {kind}"] if kind else []
    if use.default is not NOTHING and use.default != "":
        facets.append(f"default: {json.dumps(use.default, ensure_ascii=False)}")
    is_secret = _SECRET.search(name) and use.place not in (InputPlace.QUERY, InputPlace.ROUTE)
    facets += ["writeOnly: true"] if is_secret else []
    where = f"{use.place.value}, line {use.line}" if use.line else use.place.value
    asked = "" if kind else "; FILL IN: its type"
    return f"{{{', '.join(facets)}}}  # {where}{asked}"


def _key(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name.lower() not in _YAML_WORDS else json.dumps(name, ensure_ascii=False)


def _quoted(text: str) -> str:
    return json.dumps(text) if re.search(r"[^A-Za-z0-9_./-]", text) else text


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")
