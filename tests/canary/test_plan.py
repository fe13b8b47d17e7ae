"""What canary.yaml may say, and what is told of one that says something else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bridge import canary
from bridge.errors import ConfigurationError


def written(folder: Path, text: str) -> Path:
    (folder / "canary.yaml").write_text(text)
    return folder / "canary.yaml"


def test_a_case_has_an_automation_an_input_an_output_and_a_time(tmp_path: Path) -> None:
    (case,) = canary.load(written(tmp_path, "- {automation: echo, input: {a: 1}, output: [1], within: 5s}"))
    assert (case.automation, case.input, case.output, case.within) == ("echo", {"a": 1}, [1], timedelta(seconds=5))


def test_only_a_case_without_an_output_is_content_with_any(tmp_path: Path) -> None:
    cases = canary.load(written(tmp_path, "[{automation: echo}, {automation: echo, output: null}]"))
    assert [case.any_output for case in cases] == [True, False]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "at least 1 item"),
        ("automation: echo", "the file: Input should be a valid list"),
        ("[{automation: echo}, {automation: echo, inputs: {}}]", "entry 2, inputs: Extra inputs"),
        ("[{automation: echo, within: 2m}]", "entry 1, within: expected more than 0s, and 1m at most"),
        ("[{automation: echo, within: soon}]", "'soon' is not a duration"),
        ("[{input: {}}]", "entry 1, automation: Field required"),
        ("[{automation: a b}]", "entry 1, automation"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match="canary") as refused:
        canary.load(written(tmp_path, text))
    assert any(told in each for each in refused.value.problems)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        canary.load(tmp_path / "canary.yaml")
