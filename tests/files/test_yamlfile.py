from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.files import yamlfile


def test_documents_come_as_they_stand_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("---\n---\na: 1\n---\nb: 2\n")
    assert yamlfile.read(path, "") == [None, {"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "the key 'a' appears twice"),
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


def doubling(kind: str, levels: int) -> str:
    """A few lines whose aliases unfold to two to the power of `levels` values."""
    form = {"lists": "[*a{0}, *a{0}]", "mappings": "{{x: *a{0}, y: *a{0}}}", "merged": "{{<<: [*a{0}, *a{0}]}}"}[kind]
    first = "[x, x]" if kind == "lists" else "{x: 1}"
    return "\n".join([f"a0: &a0 {first}", *(f"a{each}: &a{each} {form.format(each - 1)}" for each in range(1, levels))])


@pytest.mark.parametrize("kind", ["lists", "mappings", "merged"])
@pytest.mark.parametrize("levels", [25, 200])
def test_aliases_that_multiply_are_refused_before_anybody_walks_them(tmp_path: Path, kind: str, levels: int) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(doubling(kind, levels))
    with pytest.raises(ConfigurationError, match=r"file.yaml: is not YAML: its aliases unfold to .* values; 200,000 are allowed"):
        yamlfile.read(path, "")


def test_aliases_that_stay_small_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(doubling("lists", 5))
    (read,) = yamlfile.read(path, "")
    assert read["a1"] == [["x", "x"], ["x", "x"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]", "an alias stands within the value that it names"),
        ("a: &a {b: {c: *a}}", "an alias stands within the value that it names"),
        ("a: 0x" + "f" * 100_000, "is no int: it has more than 1,000 characters"),
        ("a: 0b" + "1" * 100_000, "is no int: it has more than 1,000 characters"),
        ("a: " + ":".join(["1"] * 50_000), "more than 1,000 characters"),
        ("a: " + "9" * 100_000, "is no int"),
        ("a: 1." + "9" * 100_000, "is no float"),
        ("a: 9" + ":59" * 300 + ".9", "is no float"),
        ("{a: " * 100_000 + "1" + "}" * 100_000, "is nested too deeply"),
        ("- " * 100_000 + "1", "is nested too deeply"),
    ],
)
def test_what_takes_too_long_to_read_or_cannot_be_shown_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as refused:
        yamlfile.read(path, "")
    assert len(str(refused.value)) < 1_000


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    with path.open("wb") as file:
        file.truncate(yamlfile.MOST_BYTES + 1)
    with pytest.raises(ConfigurationError, match="is larger than"):
        yamlfile.read(path, "")
