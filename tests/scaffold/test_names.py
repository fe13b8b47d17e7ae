from __future__ import annotations

import pytest

from bridge.errors import ConfigurationError
from bridge.scaffold import names


def test_one_name_is_written_as_each_place_wants_it() -> None:
    found = names.of("words.count-all", "ops", topic=True)

    assert (found.module, found.function, found.route) == ("words_count_all", "WordsCountAll", "words/count-all")
    assert (found.subscription, found.target, found.app, found.topic) == ("words-count-all", "all", "ops-functions", "automation-ops")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "1 to 100 letters"),
        ("../evil", "1 to 100 letters"),
        ("words count", "1 to 100 letters"),
        ("a" * 101, "1 to 100 letters"),
        ("-x", "begins with a letter or a digit"),
        ("7days", "begins with a letter"),
        ("json", "json has another meaning"),
        ("import", "another meaning"),
        ("host", "another meaning"),
        ("Modules", "another meaning"),
        ("a" * 51, "50 characters at most"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_a_sentence(name: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        names.of(name, "python", topic=True)


@pytest.mark.parametrize("folder", ["", "..", "A", "a/b", "-a", "a" * 54])
def test_a_folder_whose_app_could_not_be_named_is_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the folder of an app"):
        names.of("words.count", folder, topic=False)
