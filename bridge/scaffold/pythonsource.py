"""The Python modules of a function app, as far as finding functions and following calls needs them. Nothing is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bridge.files import textfile

Function = ast.FunctionDef | ast.AsyncFunctionDef
_LEFT_OUT = frozenset({".venv", ".python_packages", "tests", "node_modules", "__pycache__"})


@dataclass(frozen=True)
class PythonSource:
    """One module of an app."""

    path: Path
    app: Path

    @cached_property
    def tree(self) -> ast.Module:
        """Raises SyntaxError, OSError, UnicodeDecodeError."""
        return ast.parse(textfile.read(self.path))

    @cached_property
    def functions(self) -> dict[str, Function]:
        """All functions by their name in Python."""
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, Function)}

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """All classes by their name."""
        return {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)}

    @cached_property
    def _imported(self) -> dict[str, tuple[str, str]]:
        """Names from elsewhere: the module, and the name in it; no name for the module itself."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update({each.asname or each.name: (each.name, "") for each in node.names})
            elif isinstance(node, ast.ImportFrom):
                found.update({each.asname or each.name: (node.module or "", each.name) for each in node.names})
        return found

    def find(self, called: ast.expr) -> tuple[PythonSource, str] | None:
        """The module of the app, and the name in it, that an expression such as `work` or `helpers.work` means."""
        if isinstance(called, ast.Name):
            if called.id in self.functions or called.id in self.classes:
                return self, called.id
            module, name = self._imported.get(called.id, ("", ""))
            return self._of_app(module, name) if name else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            module, name = self._imported.get(called.value.id, ("", ""))
            return self._of_app(f"{module}.{name}" if name else module, called.attr) if module or name else None
        return None

    def _of_app(self, module: str, name: str) -> tuple[PythonSource, str] | None:
        path = self.app / (module.strip(".").replace(".", "/") + ".py")
        return (PythonSource(path, self.app), name) if module and path.is_file() else None


def sources(app: Path) -> Iterator[PythonSource]:
    """The modules of the app, `function_app.py` first."""
    paths = [path for path in sorted(app.rglob("*.py")) if not _LEFT_OUT & set(path.relative_to(app).parts)]
    yield from (PythonSource(path, app) for path in sorted(paths, key=lambda path: path.name != "function_app.py"))
