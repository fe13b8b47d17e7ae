"""The syntax tree of filters and actions. Chains of operators are flat, so that the tree is no deeper than the nesting of the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, Union


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a text, TRUE, FALSE or NULL."""

    value: int | float | bool | str | None


@dataclass(frozen=True, slots=True)
class PropertyReference:
    """A property of the message. A system property has the name that `properties.READABLE` gives it."""

    name: str
    system: bool = False


@dataclass(frozen=True, slots=True)
class NewId:
    """`newid()`: a new UUID."""


@dataclass(frozen=True, slots=True)
class PropertyNamed:
    """`property(name)` or `p(name)`: the application property whose name is the value of an expression."""

    name: Expression


@dataclass(frozen=True, slots=True)
class Signed:
    """`+` or `-` before an expression."""

    sign: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Operands joined from left to right by operators of one precedence: `+ -`, or `* / %`."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`, where `!=` is written `<>`."""

    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class IsNull:
    """`property IS [NOT] NULL`."""

    operand: PropertyReference
    negated: bool


@dataclass(frozen=True, slots=True)
class InList:
    """`value [NOT] IN (choice, …)`."""

    value: Expression
    choices: tuple[Expression, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Like:
    """`value [NOT] LIKE pattern [ESCAPE escape]`."""

    value: Expression
    pattern: Expression
    escape: Expression | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Exists:
    """`EXISTS (property)`."""

    operand: PropertyReference


@dataclass(frozen=True, slots=True)
class Negation:
    """`NOT predicate`."""

    operand: Predicate


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Predicates joined by AND."""

    operands: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Disjunction:
    """Predicates joined by OR."""

    operands: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class SetProperty:
    """`SET property = expression`."""

    target: PropertyReference
    value: Expression


@dataclass(frozen=True, slots=True)
class RemoveProperty:
    """`REMOVE property`."""

    target: PropertyReference


Expression: TypeAlias = Union[Constant, PropertyReference, NewId, PropertyNamed, Signed, Arithmetic]  # noqa: UP007 - refers forward
Predicate: TypeAlias = Union[Comparison, IsNull, InList, Like, Exists, Negation, Conjunction, Disjunction]  # noqa: UP007
Action: TypeAlias = tuple[SetProperty | RemoveProperty, ...]

PREDICATES = (Comparison, IsNull, InList, Like, Exists, Negation, Conjunction, Disjunction)
