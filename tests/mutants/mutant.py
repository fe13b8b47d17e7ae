"""Faults to seed: read from `seeded.yaml`, put into a copy of the code and taken out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
LIST = Path(__file__).parent / "seeded.yaml"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: in `file`, the text `old` becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    breaks: str

    @property
    def tests(self) -> tuple[str, ...]:
        """The files with tests of the mutated module, which should notice first."""
        parts = tuple(each for each in Path(self.file).relative_to("bridge").with_suffix("").parts if each != "__init__")
        found: list[Path] = []
        for depth in range(len(parts)):  # tests/test_resilience_retry.py, tests/api/test_guard.py, tests/adapters/test_embedded_outbox.py
            folder, name = ROOT.joinpath("tests", *parts[:depth]), "_".join(parts[depth:])
            found += [path for pattern in (f"test_{name}.py", f"test_{name}_*.py") for path in folder.glob(pattern)]
        return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found))

    def places(self, tree: Path) -> int:
        """How often the text to change stands in the file; anything but once is a stale list."""
        return (tree / self.file).read_text().count(self.old)

    @contextmanager
    def seeded(self, tree: Path) -> Iterator[None]:
        """The fault stands in the file for as long as this is open."""
        path = tree / self.file
        text = path.read_text()
        # The cached bytecode is told by size and second of change, and a fault may alter neither.
        Path(cache_from_source(str(path))).unlink(missing_ok=True)
        path.write_text(text.replace(self.old, self.new))
        try:
            yield
        finally:
            path.write_text(text)


def mutants() -> list[Mutant]:
    """All of the list, in its order."""
    return [Mutant(**entry) for entry in yaml.safe_load(LIST.read_text())]
