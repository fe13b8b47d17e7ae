"""Which lines reach the log by `logging.logLevel` of host.json."""

from __future__ import annotations

import pytest

from bridge.local.functions import loglevels
from bridge.local.functions.loglevels import LogLevels


def _levels(**levels: str) -> LogLevels:
    return LogLevels({"logging": {"logLevel": levels}})


@pytest.mark.parametrize("content", [None, {}, {"logging": {}}, {"logging": {"logLevel": None}}])
def test_without_a_level_it_is_information(content: object) -> None:
    levels = LogLevels(content)  # type: ignore[arg-type]
    assert levels.shows(loglevels.of_function("F"), "info")
    assert not levels.shows(loglevels.of_function("F"), "debug")


def test_the_longest_name_that_a_category_begins_with_counts() -> None:
    levels = _levels(default="Error", Function="Warning", **{"Function.Own": "Trace"})
    assert levels.shows(loglevels.of_function("Own"), "trace")
    assert not levels.shows(loglevels.of_function("Other"), "info")
    assert levels.shows(loglevels.of_function("Other"), "warning")
    assert not levels.shows(loglevels.CONSOLE, "warning")
    assert levels.shows(loglevels.CONSOLE, "error")


def test_levels_are_names_in_any_case_or_numbers() -> None:
    assert _levels(default="tRACE").shows(loglevels.CONSOLE, "trace")
    assert not _levels(default="4").shows(loglevels.CONSOLE, "warning")
    assert not _levels(default="None").shows(loglevels.CONSOLE, "critical")
