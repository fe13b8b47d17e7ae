"""What `bridge/` imports is a declared dependency, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Loaded by name where they are installed, and done without elsewhere: the functions worker runs in the environment of the apps.
OPTIONAL = {"azure.functions", "certifi"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> list[str]:
    """What the bridge needs, and what it needs for telemetry, which is an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["otel"]]


def declared() -> set[str]:
    return {canonical(re.match(r"[\w.-]+", line)[0]) for line in requirements()}  # type: ignore[index]


def imported_modules() -> set[str]:
    """The full names of what is imported from elsewhere, also by `importlib.import_module("name")`."""
    found = set()
    templates = ROOT / "bridge" / "defaults"  # parts of the apps of users, whose requirements they have beside them
    for path in (each for each in (ROOT / "bridge").rglob("*.py") if templates not in each.parents):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "import_module":
                found |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    own = {*sys.stdlib_module_names, "bridge"}
    return {name for name in found if name.split(".")[0] not in own} - OPTIONAL


def test_every_import_is_declared() -> None:
    distributions = packages_distributions()
    undeclared = {
        module
        for module in imported_modules()
        if not {canonical(name) for name in distributions.get(module.split(".")[0], [])} & declared()
    }
    assert undeclared == set()


def test_every_declared_dependency_is_imported() -> None:
    modules = imported_modules()
    distributions = packages_distributions()
    used = {canonical(name) for module in modules for name in distributions.get(module.split(".")[0], [])}
    assert declared() - used == set()


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    assert [line for line in requirements() if not (">=" in line and ",<" in line)] == []
