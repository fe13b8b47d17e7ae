"""What a Python function reads of its request or message, found in its syntax tree. Calls into other modules of the app are followed.

The request is `func.HttpRequest`: `params`, `route_params`, `headers`, `form`, `get_json()`, `get_body()`. A message has `get_body()`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.scaffold.existing import NOTHING, CodeFacts, FieldUse, InputPlace
from bridge.scaffold.pythonsource import Function, PythonSource

_MEMBERS = {
    "params": InputPlace.QUERY,
    "route_params": InputPlace.ROUTE,
    "headers": InputPlace.HEADER,
    "form": InputPlace.FORM,
}
_TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean", "list": "array", "dict": "object"}
_GETTERS = frozenset({"get", "pop", "getlist", "get_all"})
_SAME = frozenset({"dict", "str", "cast", "loads", "copy", "deepcopy", "decode", "from_json", "unquote"})
_HARMLESS = frozenset(
    {"len", "print", "isinstance", "type", "repr", "bool", "dumps", "info", "debug", "warning", "error", "exception", "log"}
)


@dataclass(frozen=True)
class _Origin:
    """What an expression is: the request itself, its bytes, the bridge's event, or a value at a place."""

    kind: str  #: request, raw, event or value
    place: InputPlace = InputPlace.BODY
    path: tuple[str, ...] = ()

    def at(self, name: str) -> _Origin:
        return _Origin("value", self.place, (*self.path, name))

    @property
    def holds_fields(self) -> bool:
        return self.kind == "value" and (self.place is InputPlace.BODY or not self.path)

    @property
    def words(self) -> str:
        return {"request": "the request", "raw": "the body", "event": "the event"}.get(self.kind, f"the {self.place.value}")


_BODY = _Origin("value")


def read(source: PythonSource, function: Function) -> CodeFacts:
    """The facts of a function, whose first parameter is its request or message."""
    facts = CodeFacts(description=(ast.get_docstring(function) or "").split("\n\n")[0].replace("\n", " "))
    parameters = function.args.args
    if parameters:
        _Reader(source, facts, {parameters[0].arg: _Origin("request")}).function(function)
    return facts


@dataclass
class _Reader:
    source: PythonSource
    facts: CodeFacts
    known: dict[str, _Origin]
    followed: set[tuple[str, str, str]] = field(default_factory=set)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def function(self, node: Function) -> None:
        self.parents = {child: parent for parent in ast.walk(node) for child in ast.iter_child_nodes(parent)}
        placed = [each for each in ast.walk(node) if isinstance(each, ast.expr | ast.stmt)]
        ordered = sorted(placed, key=lambda each: (each.lineno, each.col_offset))
        for each in ordered:
            self._assigned(each)
        for each in ordered:
            if isinstance(each, ast.expr):
                self._used(each)

    def _assigned(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            origin = self._origin(node.value)
            for target in targets:
                if isinstance(target, ast.Name) and origin is not None:
                    self.known[target.id] = origin

    def _origin(self, node: ast.expr) -> _Origin | None:
        """What the expression is of the request; None for everything else."""
        match node:
            case ast.Name():
                found = self.known.get(node.id)
            case ast.Await() | ast.NamedExpr():
                found = self._origin(node.value)
            case ast.BoolOp():
                found = self._first(node.values)
            case ast.IfExp():
                found = self._first([node.body, node.orelse])
            case ast.Attribute():
                owner = self._origin(node.value)
                is_part = owner is not None and owner.kind == "request" and node.attr in _MEMBERS
                found = _Origin("value", _MEMBERS[node.attr]) if is_part else None
            case ast.Subscript():
                found = _field_of(self._origin(node.value), _text(node.slice))
            case ast.Call():
                found = self._method(node) or self._called(node)
            case _:
                found = None
        return found

    def _first(self, nodes: Sequence[ast.expr]) -> _Origin | None:
        return next((found for each in nodes if (found := self._origin(each))), None)

    def _method(self, node: ast.Call) -> _Origin | None:
        """What a method of the request, of its body or of the event answers."""
        owner = self._origin(node.func.value) if isinstance(node.func, ast.Attribute) else None
        name = _name(node.func)
        if owner is None:
            return None
        if name in _GETTERS and node.args:
            return _field_of(owner, _text(node.args[0]))
        answers = {("request", "get_json"): _BODY, ("request", "get_body"): _Origin("raw"), ("event", "get_data"): _BODY}
        return answers.get((owner.kind, name)) or (owner if name in ("decode", "copy") else None)

    def _called(self, node: ast.Call) -> _Origin | None:
        """What a function answers that is given the request or a part of it."""
        first, name = self._first(node.args), _name(node.func)
        if first is None:
            return None
        if name == "read_invoked":
            self.facts.reads_event = True
            return _Origin("event")
        if name in ("parse_qs", "parse_qsl"):
            return _Origin("value", InputPlace.FORM)
        if name in ("loads", "from_json") and first.kind == "raw":
            return _BODY
        return first if name in _SAME else None

    def _used(self, node: ast.expr) -> None:
        if (
            isinstance(node, ast.Subscript | ast.Call)
            and (found := self._origin(node)) is not None
            and found.kind == "value"
            and found.path
        ):
            owner = node.value if isinstance(node, ast.Subscript) else node.func
            if isinstance(node, ast.Subscript) or isinstance(owner, ast.Attribute):
                self._field(node, found)
                return
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            owner_origin, name = self._origin(node.comparators[0]), _text(node.left)
            if owner_origin is not None and owner_origin.holds_fields and name is not None:
                self._add(owner_origin.at(name), node.lineno)
        if isinstance(node, ast.Call):
            self._passed_on(node)

    def _field(self, node: ast.Subscript | ast.Call, found: _Origin) -> None:
        is_store = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
        if is_store:
            return
        default: Any = NOTHING
        if isinstance(node, ast.Call) and len(node.args) > 1:
            default = _constant(node.args[1])
        kind = self._converted(node) or ("" if default is NOTHING else _type(default))
        self._add(found, node.lineno, kind, required=isinstance(node, ast.Subscript), default=default)

    def _add(self, found: _Origin, line: int, kind: str = "", *, required: bool = False, default: Any = NOTHING) -> None:
        self.facts.add(FieldUse(found.place, found.path, line, kind, required, default))

    def _converted(self, node: ast.AST) -> str:
        """The type to which the code converts the value at once, as in `int(req.params["days"])`."""
        parent = self.parents.get(node)
        while isinstance(parent, ast.BoolOp):
            parent = self.parents.get(parent)
        name = parent.func.id if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) else ""
        return _TYPES[name] if name in ("int", "float", "bool") else ""

    def _passed_on(self, node: ast.Call) -> None:
        """Follow a call that is given the request or a part of it."""
        given = {index: found for index, each in enumerate(node.args) if (found := self._origin(_unpacked(each))) and _whole(found)}
        named = {each.arg: found for each in node.keywords if (found := self._origin(each.value)) and _whole(found)}
        if not given and not named:
            return
        name = _name(node.func)
        if name in _HARMLESS or self._method(node) is not None or self._called(node) is not None:
            return
        origins = [*given.values(), *named.values()]
        target = self.source.find(node.func) or self.source.find(node.func.value if isinstance(node.func, ast.Attribute) else node.func)
        if target is not None and target[1] in target[0].classes:
            self._model(target[0].classes[target[1]])
        elif target is not None and target[1] in target[0].functions:
            self._follow(*target, given, named)
        else:
            self.facts.note(f"{origins[0].words} goes to {ast.unparse(node.func)} (line {node.lineno}); add the fields that are read there")

    def _follow(self, source: PythonSource, name: str, given: Mapping[int, _Origin], named: Mapping[str | None, _Origin]) -> None:
        function = source.functions[name]
        parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        known = {parameters[index]: origin for index, origin in given.items() if index < len(parameters)}
        known |= {each: origin for each, origin in named.items() if each}
        call = (str(source.path), name, repr(known))
        if call not in self.followed:
            self.followed.add(call)
            _Reader(source, self.facts, known, self.followed).function(function)

    def _model(self, node: ast.ClassDef) -> None:
        """The fields of a dataclass or pydantic model that is made from the body."""
        for each in node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                words = [word.strip() for word in ast.unparse(each.annotation).replace("Optional[", "").rstrip("]").split("|")]
                kind = _TYPES.get(words[0].partition("[")[0], "")
                default = NOTHING if each.value is None else _constant(each.value)
                required = each.value is None and "None" not in words and "Optional" not in ast.unparse(each.annotation)
                self._add(_BODY.at(each.target.id), each.lineno, kind, required=required, default=default)


def _field_of(owner: _Origin | None, name: str | None) -> _Origin | None:
    return owner.at(name) if owner is not None and owner.holds_fields and name is not None else None


def _whole(origin: _Origin) -> bool:
    """Whether it is more than one plain value."""
    return origin.kind != "value" or not origin.path


def _unpacked(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Starred) else node


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _constant(node: ast.expr) -> Any:
    """A JSON value; NOTHING for what is computed, and for None, which is as good as none."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return NOTHING
    return value if isinstance(value, bool | int | float | str) else NOTHING


def _type(value: object) -> str:
    return _TYPES.get(type(value).__name__, "")
