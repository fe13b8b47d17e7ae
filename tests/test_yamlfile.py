from __future__ import annotations

from pathlib import Path

import pytest

from bridge import yamlfile
from bridge.errors import ConfigurationError


def test_documents_come_as_they_stand_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("---\n---\na: 1\n---\nb: 2\n")
    assert yamlfile.read(path, "") == [None, {"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "the key 'a' stands twice"),
        ("a: [", "is not YAML"),
        ("a: !!python/object:os.system {}", "is not YAML"),
        ("a: 2026-13-45", "'2026-13-45' is no timestamp .* line 1, column 4"),
        ("a: " + "9" * 5_000, "is no int"),
        ("a: !!bool maybe", "'maybe' is no bool"),
        ("[" * 3_000, "is nested too deeply"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as refused:
        yamlfile.read(path, "")
    assert str(path) in str(refused.value)


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Use --file"):
        yamlfile.read(tmp_path / "none.yaml", "Use --file.")
