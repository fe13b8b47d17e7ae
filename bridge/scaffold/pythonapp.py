"""Registers a module with the app in the text of a `function_app.py`, whose lines and comments stay."""

from __future__ import annotations

import ast
from pathlib import Path

from bridge.errors import ConfigurationError

_APPS = frozenset({"FunctionApp", "AsgiFunctionApp", "WsgiFunctionApp", "DFApp"})


def registered(text: str, module: str, path: Path) -> str:
    """The text with the import after its last one, and the registration at its end. Raises ConfigurationError."""
    try:
        tree = ast.parse(text.lstrip("\ufeff"))
    except SyntaxError as fault:
        raise ConfigurationError([f"{path}, line {fault.lineno}: is not Python: {fault.msg}. Fix it first."]) from None
    app = next((name for node in tree.body if (name := _app_of(node))), None)
    if app is None:
        raise ConfigurationError([f"{path} has no line such as app = func.FunctionApp(), so nothing can be registered with it."])
    imports = [node.end_lineno or 0 for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    lines = text.rstrip("\n").split("\n")
    lines.insert(max(imports, default=_after_docstring(tree)), f"import {module}")
    is_apart = isinstance(tree.body[-1], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return "\n".join(lines) + ("\n\n\n" if is_apart else "\n\n") + f"{app}.register_functions({module}.blueprint)\n"


def _app_of(node: ast.stmt) -> str | None:
    """The variable of the function app, if the statement makes one."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
    if not isinstance(value, ast.Call) or not isinstance(target, ast.Name):
        return None
    called = value.func.attr if isinstance(value.func, ast.Attribute) else value.func.id if isinstance(value.func, ast.Name) else ""
    return target.id if called in _APPS else None


def _after_docstring(tree: ast.Module) -> int:
    first = tree.body[0] if tree.body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return (first.end_lineno or 0) if is_text and first is not None else 0


def required(text: str, package: str, line: str) -> str:
    """The text of a `requirements.txt` with the line, unless the package stands in it."""
    names = {each.strip().lower().replace("_", "-") for each in text.splitlines()}
    if any(name.startswith(package) for name in names):
        return text
    return f"{text.rstrip()}\n{line}\n".lstrip("\n")
