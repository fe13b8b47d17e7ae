"""Writes syntax trees as SQL, and makes random ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from bridge.sqlfilter.properties import READABLE
from bridge.sqlfilter.syntax import (
    Arithmetic,
    Comparison,
    Conjunction,
    Constant,
    Disjunction,
    Exists,
    InList,
    IsNull,
    Like,
    Negation,
    NewId,
    PropertyNamed,
    PropertyReference,
    Signed,
)

SYSTEM = {name: sql for sql, name in READABLE.items()}


def written(node: Any) -> str:  # noqa: C901, PLR0911, PLR0912 - one line for each kind of node
    """A tree as SQL, with parentheses around everything that is composed."""
    match node:
        case Constant():
            return constant(node.value)
        case PropertyReference(name, True):
            return f"sys.{SYSTEM[name]}"
        case PropertyReference(name):
            return f"[{name.replace(']', ']]')}]"
        case NewId():
            return "newid()"
        case PropertyNamed(name):
            return f"property({written(name)})"
        case Signed(sign, operand):
            return f"{sign}{nested(operand) if isinstance(operand, Signed) else f'({written(operand)})'}"
        case Arithmetic(first, rest):
            return nested(first) + "".join(f" {sign} {nested(operand)}" for sign, operand in rest)
        case Comparison(left, operator, right):
            return f"{nested(left)} {operator} {nested(right)}"
        case IsNull(operand, negated):
            return f"{written(operand)} IS {'NOT ' * negated}NULL"
        case InList(value, choices, negated):
            return f"{nested(value)} {'NOT ' * negated}IN ({', '.join(map(nested, choices))})"
        case Like(value, pattern, escape, negated):
            tail = f" ESCAPE {nested(escape)}" if escape else ""
            return f"{nested(value)} {'NOT ' * negated}LIKE {nested(pattern)}{tail}"
        case Exists(operand):
            return f"EXISTS({written(operand)})"
        case Negation(operand):
            return f"NOT ({written(operand)})"
        case Conjunction(operands):
            return " AND ".join(f"({written(each)})" for each in operands)
        case Disjunction(operands):
            return " OR ".join(f"({written(each)})" for each in operands)
    raise AssertionError(node)


def nested(node: Any) -> str:
    return f"({written(node)})" if isinstance(node, Arithmetic | Signed) else written(node)


def constant(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return {True: "TRUE", False: "FALSE", None: "NULL"}[value] if isinstance(value, bool | None) else repr(value)


numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=5)
references = st.builds(PropertyReference, st.text(min_size=1, max_size=4)) | st.sampled_from(
    [PropertyReference(name, system=True) for name in SYSTEM]
)
leaves = st.builds(Constant, numbers | texts | st.booleans() | st.none()) | references | st.just(NewId())
expressions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(PropertyNamed, inner)
        | st.builds(Signed, st.sampled_from("+-"), inner)
        | st.builds(Arithmetic, inner, st.lists(st.tuples(st.sampled_from("+-"), inner), min_size=1, max_size=3).map(tuple))
        | st.builds(Arithmetic, inner, st.lists(st.tuples(st.sampled_from("*/%"), inner), min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=5,
)
comparisons = (
    st.builds(Comparison, expressions, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), expressions)
    | st.builds(IsNull, references, st.booleans())
    | st.builds(Exists, references)
    | st.builds(InList, expressions, st.lists(expressions, min_size=1, max_size=3).map(tuple), st.booleans())
    | st.builds(Like, expressions, expressions, st.none() | expressions, st.booleans())
)
predicates = st.recursive(
    comparisons,
    lambda inner: (
        st.builds(Negation, inner)
        | st.builds(Conjunction, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Disjunction, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=5,
)
