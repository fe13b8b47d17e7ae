"""Secrets are compared in a time that does not tell how much of a guess is right: by `hmac.compare_digest` alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

BRIDGE = Path(__file__).parent.parent / "bridge"
SECRET = re.compile(r"token|signature|sha256|password|secret|authorization|presented|(^|_)key$")
#: Where a secret is checked: every door has one of these.
CHECKS = {
    "auth.py": ["Tokens.caller", "Signer.is_ours", "invocation_with"],
    "adapters/embedded/amqp/sas.py": ["verify", "knows_key"],
    "local/functions/keys.py": ["_among"],
}


def words(operand: ast.AST) -> Iterator[str]:
    """Every name and text in an operand."""
    for node in ast.walk(operand):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.Constant(value=str() as word):
                yield word


def is_literal(operand: ast.AST) -> bool:
    return isinstance(operand, ast.Constant) or (isinstance(operand, ast.Tuple) and not operand.elts)


def compared(source: str) -> list[str]:
    """The comparisons by `==` or `!=` in which a secret takes part. Against a literal nothing is guessed."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or not any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops):
            continue
        sides = [node.left, *node.comparators]
        if not any(is_literal(side) for side in sides) and any(SECRET.search(word) for side in sides for word in words(side)):
            found.append(ast.unparse(node))
    return found


def functions(source: str) -> dict[str, ast.AST]:
    tree = ast.parse(source)
    methods = [(f"{part.name}.", part) for part in tree.body if isinstance(part, ast.ClassDef)]
    return {
        f"{prefix}{node.name}": node
        for prefix, part in [("", tree), *methods]
        for node in part.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("path", sorted(BRIDGE.rglob("*.py")), ids=lambda path: str(path.relative_to(BRIDGE)))
def test_no_secret_is_compared_by_equality(path: Path) -> None:
    assert compared(path.read_text()) == []


@pytest.mark.parametrize(("file", "name"), [(file, name) for file, checks in CHECKS.items() for name in checks])
def test_every_check_of_a_secret_takes_the_same_time_for_every_guess(file: str, name: str) -> None:
    check = functions((BRIDGE / file).read_text())[name]
    assert "hmac.compare_digest(" in ast.unparse(check)


@pytest.mark.parametrize(
    "line",
    [
        "token == shown",
        "shown != self._token",
        "run.control.token.encode() == shown",
        "event['authsignature'] == mine",
        "event.get('invocationtoken') == mine",
        "(name, api_key) == (other, guess)",
        "if a < b == presented.strip(): pass",
    ],
)
def test_a_comparison_of_a_secret_is_found(line: str) -> None:
    assert compared(line)


@pytest.mark.parametrize(
    "line", ["name == other", "token == ''", "token in locks", "keyword == other", "hmac.compare_digest(token, shown)"]
)
def test_any_other_is_not(line: str) -> None:
    assert not compared(line)
