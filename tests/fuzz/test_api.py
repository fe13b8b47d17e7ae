"""Whatever the description of the API lets a caller send: no 5xx, answers as described, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.api import ask, subject, wrong_inside

EXAMPLES = 4  #: of each operation in each phase, which is some 600 requests; `make fuzz` sends more


@pytest.mark.parametrize(("tokens", "phases"), [(False, "examples,coverage,fuzzing,stateful"), (True, "coverage")])
async def test_the_api_answers_as_it_describes_itself(tmp_path: Path, tokens: bool, phases: str) -> None:
    async with subject(tmp_path, tokens=tokens) as bridge:
        found, said = await ask(bridge, EXAMPLES, "--seed", "1", "--phases", phases)
        assert found == 0, said
        assert await wrong_inside(bridge) == []
