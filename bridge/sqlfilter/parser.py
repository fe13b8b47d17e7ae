"""Parses SQL filters and actions by recursive descent. No kept library has this grammar: parsers of SQL accept far more than Azure does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Never

from bridge.sqlfilter.properties import READABLE, WRITABLE
from bridge.sqlfilter.syntax import (
    PREDICATES,
    Action,
    Arithmetic,
    Comparison,
    Conjunction,
    Constant,
    Disjunction,
    Exists,
    Expression,
    InList,
    IsNull,
    Like,
    Negation,
    NewId,
    Predicate,
    PropertyNamed,
    PropertyReference,
    RemoveProperty,
    SetProperty,
    Signed,
)
from bridge.sqlfilter.tokens import FilterSyntaxError, SqlToken, tokenize

DEEPEST = 32  #: levels of parentheses, NOT, signs and functions within each other
MOST_STATEMENTS = 32  #: of one action (Azure's quota "number of expressions per rule action")
_COMPARISONS = frozenset(("=", "<>", "!=", ">", ">=", "<", "<="))
_INT64 = range(-(2**63), 2**63)

Node = Expression | Predicate


def parse_filter(text: str) -> Predicate:
    """The filter in `text`. Raises FilterSyntaxError."""
    parser = _Parser(text)
    found = parser.predicate(parser.disjunction)
    if parser.next.kind != "end":
        parser.fail("AND, OR or the end")
    return found


def parse_action(text: str) -> Action:
    """The statements in `text`, each of which may end with a semicolon. Raises FilterSyntaxError."""
    parser = _Parser(text)
    statements: list[SetProperty | RemoveProperty] = []
    while parser.next.kind != "end" or not statements:
        if len(statements) == MOST_STATEMENTS:
            raise FilterSyntaxError(f"position {parser.next.position}: an action has at most {MOST_STATEMENTS} statements")
        statements.append(parser.statement())
        parser.skip(";") or parser.skip(",")
    return tuple(statements)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = tokenize(text)
        self._index = 0
        self._depth = 0

    @property
    def next(self) -> SqlToken:
        return self._tokens[self._index]

    def take(self) -> SqlToken:
        self._index += 1
        return self._tokens[self._index - 1]

    def skip(self, text: str) -> bool:
        """Take the next token if it is this symbol or keyword."""
        found = self.next.kind in ("symbol", "keyword") and self.next.text == text
        self._index += found
        return found

    def expect(self, text: str) -> None:
        if not self.skip(text):
            self.fail(repr(text))

    def fail(self, expected: str) -> Never:
        raise FilterSyntaxError(f"position {self.next.position}: expected {expected}, found {self.next}")

    # From the loosest to the tightest operator. A parenthesis may hold a predicate or an expression, so each level takes both kinds, and
    # `predicate` and `expression` say which of them is needed.

    def predicate(self, level: Callable[[], Node]) -> Predicate:
        start = self.next
        found = level()
        if not isinstance(found, PREDICATES):
            if self.next.kind == "end" or self.next.text in (")", "AND", "OR"):
                raise FilterSyntaxError(
                    f"position {start.position}: a value alone is no condition; compare it, as in `property = TRUE` or `EXISTS(property)`"
                )
            self.fail("a comparison, IS, IN or LIKE")
        return found

    def expression(self, level: Callable[[], Node]) -> Expression:
        start = self.next
        found = level()
        if isinstance(found, PREDICATES):
            raise FilterSyntaxError(f"position {start.position}: a condition cannot be used as a value")
        return found

    def disjunction(self) -> Node:
        return self._joined("OR", self.conjunction, Disjunction)

    def conjunction(self) -> Node:
        return self._joined("AND", self.negation, Conjunction)

    def _joined(self, word: str, level: Callable[[], Node], node: type[Disjunction] | type[Conjunction]) -> Node:
        first = level()
        if not (self.next.kind == "keyword" and self.next.text == word):
            return first
        operands = [self._must_be_condition(first)]
        while self.skip(word):
            operands.append(self.predicate(level))
        return node(tuple(operands))

    def _must_be_condition(self, found: Node) -> Predicate:
        if not isinstance(found, PREDICATES):
            self.fail("a comparison, IS, IN or LIKE")
        return found

    def negation(self) -> Node:
        if self.skip("NOT"):
            return Negation(self.predicate(self._deeper(self.negation)))
        return self.comparison()

    def comparison(self) -> Node:
        start = self.next
        left = self.sum()
        if self.next.kind == "symbol" and self.next.text in _COMPARISONS:
            value = self._as_value(left, start)
            operator = self.take().text
            return Comparison(value, "<>" if operator == "!=" else operator, self.expression(self.sum))
        if self.skip("IS"):
            if not isinstance(left, PropertyReference):
                raise FilterSyntaxError(f"position {start.position}: only a property can be compared with IS NULL")
            negated = self.skip("NOT")
            self.expect("NULL")
            return IsNull(left, negated)
        negated = self.skip("NOT")
        if self.skip("IN"):
            return InList(self._as_value(left, start), self._choices(), negated)
        if self.skip("LIKE"):
            value, pattern = self._as_value(left, start), self.expression(self.sum)
            return Like(value, pattern, self.expression(self.sum) if self.skip("ESCAPE") else None, negated)
        if negated:
            self.fail("IN or LIKE")
        return left

    def _as_value(self, found: Node, start: SqlToken) -> Expression:
        if isinstance(found, PREDICATES):
            raise FilterSyntaxError(f"position {start.position}: a condition cannot be used as a value")
        return found

    def _choices(self) -> tuple[Expression, ...]:
        self.expect("(")
        choices = [self.expression(self.sum)]
        while self.skip(","):
            choices.append(self.expression(self.sum))
        self.expect(")")
        return tuple(choices)

    def sum(self) -> Node:
        return self._chain(("+", "-"), self.product)

    def product(self) -> Node:
        return self._chain(("*", "/", "%"), self.signed)

    def _chain(self, operators: tuple[str, ...], level: Callable[[], Node]) -> Node:
        start = self.next
        first = level()
        rest: list[tuple[str, Expression]] = []
        while self.next.kind == "symbol" and self.next.text in operators:
            first = self._as_value(first, start)
            rest.append((self.take().text, self.expression(level)))
        return Arithmetic(self._as_value(first, start), tuple(rest)) if rest else first

    def signed(self) -> Node:
        if self.next.kind == "symbol" and self.next.text in ("+", "-"):
            sign = self.take().text
            if sign == "-" and self.next.kind in ("integer", "decimal"):
                return self._number("-")
            return Signed(sign, self.expression(self._deeper(self.signed)))
        return self.operand()

    def operand(self) -> Node:
        token = self.next
        if token.kind in ("name", "delimited"):
            return self._function() if self._tokens[self._index + 1].text == "(" and token.kind == "name" else self.reference()
        if self.skip("EXISTS"):
            return self._in_parentheses(lambda: Exists(self.reference()))
        if token.kind == "symbol" and token.text == "(":
            return self._in_parentheses(self._deeper(self.disjunction))
        return self._constant()

    def _in_parentheses(self, level: Callable[[], Node]) -> Node:
        self.expect("(")
        found = level()
        self.expect(")")
        return found

    def _constant(self) -> Constant:
        if self.next.kind in ("integer", "decimal"):
            return self._number("")
        if self.next.kind == "text":
            return Constant(self.take().text)
        for word, value in (("TRUE", True), ("FALSE", False), ("NULL", None)):
            if self.skip(word):
                return Constant(value)
        return self.fail("a property, a constant, a function or '('")

    def _deeper(self, level: Callable[[], Node]) -> Callable[[], Node]:
        def nested() -> Node:
            self._depth += 1
            if self._depth > DEEPEST:
                raise FilterSyntaxError(f"position {self.next.position}: it is nested more than {DEEPEST} levels deep")
            found = level()
            self._depth -= 1
            return found

        return nested

    def _number(self, sign: str) -> Constant:
        token = self.take()
        if token.kind == "decimal":
            return Constant(float(sign + token.text))
        number = int(sign + token.text)
        if number not in _INT64:
            raise FilterSyntaxError(f"position {token.position}: {token.text} does not fit into 64 bits")
        return Constant(number)

    def _function(self) -> Expression:
        token = self.take()
        self.expect("(")
        name = token.text.lower()
        if name == "newid":
            found: Expression = NewId()
        elif name in ("property", "p"):
            found = PropertyNamed(self.expression(self._deeper(self.sum)))
        else:
            raise FilterSyntaxError(
                f"position {token.position}: there is no function {token.text!r}; there are newid(), property(name) and p(name)"
            )
        self.expect(")")
        return found

    def reference(self) -> PropertyReference:
        """`[scope.]name`."""
        if self.next.kind not in ("name", "delimited"):
            self.fail("the name of a property")
        token = self.take()
        if not self.skip("."):
            return PropertyReference(token.text)
        scope = token.text.lower()
        if scope not in ("sys", "user") or token.kind != "name":
            raise FilterSyntaxError(f"position {token.position}: {token.text!r} is no scope; the scopes are sys and user")
        if self.next.kind not in ("name", "delimited"):
            self.fail("the name of a property")
        named = self.take()
        if scope == "user":
            return PropertyReference(named.text)
        if named.text.lower() not in READABLE:
            raise FilterSyntaxError(
                f"position {named.position}: messages have no system property {named.text!r} here; there are {', '.join(sorted(READABLE))}"
            )
        return PropertyReference(READABLE[named.text.lower()], system=True)

    def statement(self) -> SetProperty | RemoveProperty:
        if self.skip("REMOVE"):
            return RemoveProperty(self._target())
        if not self.skip("SET"):
            self.fail("SET or REMOVE")
        target = self._target()
        self.expect("=")
        return SetProperty(target, self.expression(self.sum))

    def _target(self) -> PropertyReference:
        start = self.next
        target = self.reference()
        if target.system and target.name not in WRITABLE.values():
            raise FilterSyntaxError(f"position {start.position}: an action cannot change this system property, only {_names(WRITABLE)}")
        return target


def _names(properties: dict[str, str]) -> str:
    return ", ".join(sorted(properties))
