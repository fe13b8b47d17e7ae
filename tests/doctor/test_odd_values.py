"""Whatever stands in a place, no rule fails on it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.doctor import engine, reading
from bridge.doctor.document import ConfigDocument, Key
from bridge.doctor.project import DoctorProject
from tests.doctor.test_seeded import on_azure, on_redis, on_samples

ODD = (None, 7, True, "", "x", [], {}, [None], {"x": None})


def places(value: Any, path: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def changed(value: Any, path: tuple[Key, ...], odd: Any) -> Any:
    result = copy.deepcopy(value)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return result


@pytest.mark.parametrize("place", [on_redis, on_azure, on_samples], ids=["redis", "azure", "samples"])
def test_no_value_breaks_a_rule(place: Any, tmp_path: Path) -> None:
    whole = reading.read([place(tmp_path)])
    seen: set[tuple[Any, ...]] = set()
    for number, document in enumerate(whole.documents):
        for path in places(document.value):
            kind = (document.kind, tuple(key if isinstance(key, str) else 0 for key in path))
            if kind in seen or document.kind == "Automation" or document.file.name == "servicebus.json":
                continue
            seen.add(kind)
            odd = ODD[len(seen) % len(ODD)]
            odd_document = ConfigDocument(document.file, document.text, changed(document.value, path, odd), document.number, document.node)
            documents = [*whole.documents[:number], odd_document, *whole.documents[number + 1 :]]
            engine.examine(DoctorProject(documents, whole.catalogues, whole.entities, whole.policies), advice=True)
    assert len(seen) > 50
