from __future__ import annotations

import pytest

from bridge import sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GiB", 8 * 2**30), ("1 MiB", 2**20), ("900kB", 900_000), ("1.5MB", 1_500_000), ("17", 17), ("17B", 17), (17, 17), ("0", 0)],
)
def test_a_written_size_is_read_as_bytes(text: object, size: int) -> None:
    assert sizes.parse(text) == size


@pytest.mark.parametrize("text", ["", "8XB", "-1", -1, "GiB", "8gib", True, None, 1.5])
def test_anything_else_is_refused_with_the_accepted_form(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write it like"):
        sizes.parse(text)


@pytest.mark.parametrize("text", ["8GiB", "1MiB", "900kB", "17B", "1MB", "0B"])
def test_a_size_is_shown_in_the_unit_it_was_written_in(text: str) -> None:
    assert sizes.show(sizes.parse(text)) == text
