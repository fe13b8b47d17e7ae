"""The list of mutants fits the code. Whether the tests notice each is for `make mutants`, which takes minutes."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.mutant import ROOT, Mutant, mutants
from tests.mutants.trial import fast_tests

ALL = mutants()


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_of_the_code_and_leaves_it_python(mutant: Mutant) -> None:
    assert mutant.places(ROOT) == 1, f"{mutant.old!r} must stand once in {mutant.file}: bring tests/mutants/seeded.yaml up to date"
    text = (ROOT / mutant.file).read_text()
    changed = text.replace(mutant.old, mutant.new)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))


def test_every_mutant_has_a_name_of_its_own_and_says_what_it_breaks() -> None:
    assert len({mutant.name for mutant in ALL}) == len(ALL) >= 20
    assert all(mutant.breaks for mutant in ALL)


def test_the_modules_that_decide_have_tests_among_the_fast_ones() -> None:
    deciding = ("test_lifecycle", "catalog/test_completion", "test_idempotency", "test_intake", "test_recorder", "test_pipeline")
    assert {f"tests/{each}.py" for each in (*deciding, "targets/test_http", "targets/test_bus")} <= set(fast_tests())
