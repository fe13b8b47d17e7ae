"""Imports go one way: faces > app > services > ports > core > base. Adapters see ports and below; only `app` sees adapters."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BRIDGE = ROOT / "bridge"

#: From top to bottom; a module may import what stands in its own band or further down.
BANDS = [
    {"__main__", "cli", "scaffold", "doctor", "hammer", "publishing"},
    {"server"},
    {"app"},
    {"canary", "rollout"},
    {"api", "client"},
    {"service", "pipeline", "audit"},
    {"intake", "dispatch", "targets", "recorder", "recovery", "context", "validation"},
    {"runs", "deadletters"},
    {"plans"},
    {"events"},
    {
        "ports",
        "index",
        "outcome",
        "cloudevents",
        "jsontext",
        "idempotency",
        "auth",
        "catalog",
        "redaction",
        "schemas",
        "run",
        "runview",
        "nextstep",
        "lifecycle",
        "resilience",
        "entities",
        "sqlfilter",
        "tracing",
        "metrics",
    },
    {
        "settings",
        "amqp",
        "files",
        "durations",
        "timeslices",
        "memory",
        "errors",
        "telemetry",
        "certificates",
        "logs",
        "counts",
        "crashpoints",
        "steadytime",
        "grpcserver",
    },
]
BAND = {name: number for number, names in enumerate(BANDS) for name in names}
#: What bands do not say.
MAY_SEE_ADAPTERS = {"app"}
STANDARD_AND_PYDANTIC_ONLY = {"errors", "durations"}


def modules() -> Iterator[Path]:
    templates = BRIDGE / "defaults"  # are written by `bridge init`, and no part of the bridge
    yield from sorted(path for path in BRIDGE.rglob("*.py") if path != BRIDGE / "__init__.py" and templates not in path.parents)


def part(path: Path) -> str:
    """`bridge/run.py` is `run`, `bridge/adapters/apps.py` is `adapters`."""
    return path.relative_to(BRIDGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names) if node.module == "bridge" else [node.module]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def bridge_parts(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("bridge.")}


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_downwards(path: Path) -> None:
    own = part(path)
    seen = bridge_parts(path)
    if own == "adapters":
        allowed = {name for name in BAND if BAND[name] >= BAND["ports"]} | {"adapters"}
    elif own == "local":
        allowed = {name for name in BAND if BAND[name] >= BAND["settings"]} | {"local"}
    elif own == "testing":
        return
    else:
        assert own in BAND, f"{own} has no band: give it one in tests/test_layers.py"
        allowed = {name for name in BAND if BAND[name] >= BAND[own]}
        allowed |= {"adapters"} if own in MAY_SEE_ADAPTERS else set()
        allowed |= {"local"} if BAND[own] == 0 else set()
    assert seen <= allowed, f"{own} may not import {sorted(seen - allowed)}"


@pytest.mark.parametrize("name", sorted(STANDARD_AND_PYDANTIC_ONLY))
def test_the_bottom_imports_only_the_standard_library_and_pydantic(name: str) -> None:
    foreign = {each.split(".")[0] for each in imported(BRIDGE / f"{name}.py")} - {"pydantic", "bridge", "__future__"}
    assert all(each in __import__("sys").stdlib_module_names for each in foreign)


def test_nothing_ships_that_imports_the_test_kit() -> None:
    assert not [path for path in modules() if "testing" in bridge_parts(path) and part(path) != "testing"]


def test_only_the_dapr_runtime_loads_what_is_dapr_s() -> None:
    look = "import sys, bridge.cli, bridge.app, bridge.server; print(sorted({'grpc', 'dapr', 'google.protobuf'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_class_name_stands_twice() -> None:
    """A reader who searches for a class finds one: `bridge` has one name for one thing."""
    names = Counter(node.name for path in modules() for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_functions_never_import_the_bridge() -> None:
    paths = list((ROOT / "functions").rglob("*.py"))
    assert paths
    assert not [path for path in paths if any(name.split(".")[0] == "bridge" for name in imported(path))]


def test_there_are_no_runtime_import_cycles() -> None:
    graph: dict[str, set[str]] = {}  # a package counts as one; the faces start each other
    for path in modules():
        if part(path) not in BANDS[0]:
            graph.setdefault(part(path), set()).update(bridge_parts(path) - {part(path)})

    def reaches(start: str, goal: str, seen: frozenset[str]) -> bool:
        return any(step == goal or (step not in seen and reaches(step, goal, seen | {step})) for step in graph.get(start, ()))

    assert not [name for name in graph if reaches(name, name, frozenset())]
