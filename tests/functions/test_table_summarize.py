from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from automations.column import DISTINCT
from automations.refusal import Refusal
from automations.table_summarize import CHUNK, COLUMNS, pause, summarize
from hypothesis import assume, given, settings
from hypothesis import strategies as st

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(["", " ", "1", "-0.5", "true", "2026-01-31"])


def unwatched(rows: int, share: float) -> None:
    """Nobody looks on."""


def summary(text: str, **more: Any) -> dict[str, Any]:
    return summarize({"csv": text, **more}, unwatched)


def column(*values: str) -> dict[str, Any]:
    """The summary of a one-column table of these values."""
    found: dict[str, Any] = summary(as_csv([["x"], *([value] for value in values)]))["columns"][0]
    return found


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.text('a1,;"\n\r\t| ', max_size=60))
def test_any_text_gives_a_summary_or_a_refusal(text: str) -> None:
    try:
        found = summary(text)
    except Refusal as refusal:
        found = {"rows": 0, "columns": [], "refused": refusal.code}
    assert found.get("refused") in (None, "NotATable")
    assert all(each["count"] + each["missing"] == found["rows"] for each in found["columns"])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=30)))
def test_counts_add_up_for_every_table(rows: list[list[str]]) -> None:
    found = summary(as_csv(rows))
    assert found["rows"] == len(rows) - 1
    for place, each in enumerate(found["columns"]):
        values = [row[place].strip() for row in rows[1:]]
        assert each["missing"] == values.count("")
        assert each["count"] == len(values) - each["missing"]
        assert each["distinct"] == len(set(values) - {""})


@given(st.lists(st.integers(-(10**40), 10**40), min_size=1))
def test_whole_numbers_are_exact(numbers: list[int]) -> None:
    found = column(*map(str, numbers))
    mean = Fraction(sum(numbers), len(numbers))
    assert (found["type"], found["min"], found["max"]) == ("integer", min(numbers), max(numbers))
    assert found["mean"] == (int(mean) if mean.denominator == 1 else float(mean))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_have_their_exact_mean_rounded_once(numbers: list[float]) -> None:
    found = column("0.5", *map(repr, numbers))
    assert (found["type"], found["min"], found["max"]) == ("number", min(0.5, *numbers), max(0.5, *numbers))
    exact = [Fraction("0.5"), *(Fraction(repr(number)) for number in numbers)]
    assert found["mean"] == float(sum(exact) / len(exact))


def test_a_mean_keeps_what_is_small_beside_what_is_huge() -> None:
    assert column("1e308", "1.5", "-1e308")["mean"] == 0.5
    assert column("1e308", "1.5e308")["mean"] == 1.25e308


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20", " 3 "], "integer"),
        (["1", "2.5", "1e3"], "number"),
        (["true", "FALSE"], "boolean"),
        (["2026-01-31", "1999-12-01"], "date"),
        (["2026-02-30"], "text"),
        (["007"], "text"),
        (["+49"], "text"),
        (["1,5"], "text"),
        (["1e999"], "text"),
        (["9" * 101], "text"),
        (["١٢"], "text"),
        (["1", "x"], "text"),
        (["", "  "], "empty"),
        (["", "1"], "integer"),
    ],
)
def test_a_column_has_the_narrowest_type_that_fits_all_values(values: list[str], kind: str) -> None:
    assert column(*values)["type"] == kind


def test_bounds_are_values_of_the_columns_type() -> None:
    assert (column("true", "false")["min"], column("true", "false")["max"]) == (False, True)
    assert (column("2026-01-31", "1999-12-01")["min"], column("9", "10")["min"]) == ("1999-12-01", 9)
    assert (column("")["min"], column("")["max"]) == (None, None)


def test_long_texts_are_shortened() -> None:
    assert column("a" * 500)["min"] == "a" * 39 + "…"


def test_distinct_values_are_counted_up_to_a_limit_that_is_marked() -> None:
    values = [f"v{number}" for number in range(DISTINCT)]
    exact, more = column(*values, *values), column(*values, "one more")
    assert (exact["distinct"], "distinctAtLeast" in exact) == (DISTINCT, False)
    assert (more["distinct"], more["distinctAtLeast"]) == (DISTINCT, True)


def test_quoted_values_blank_lines_a_byte_order_mark_and_other_delimiters_are_understood() -> None:
    found = summary('\ufeffname;note\r\n"a;b";"two\nlines"\r\n\r\nc;\r\n', delimiter=";")
    assert found["rows"] == 2
    assert [each["name"] for each in found["columns"]] == ["name", "note"]
    assert [each["missing"] for each in found["columns"]] == [0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n1,2,3\n", "Row 2 has 3 values, the header has 2 (a, b). Quote values that contain ','"),
        ("a,b\n1\n", "Row 1 has 1 value, the header has 2"),
        ("", "`csv` is empty. Send a header line"),
        ("\n\n", "`csv` is empty."),
        ('a,b\n1,"2\n', "Line 2 cannot be read: unexpected end of data. Quote a value"),
        (",".join(map(str, range(COLUMNS + 1))), "The header has 201 columns, and 200 are the most."),
    ],
)
def test_what_is_no_table_is_refused_in_words_a_person_can_act_on(text: str, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        summary(text)
    assert caught.value.code == "NotATable"
    assert caught.value.message.startswith(said)


@pytest.mark.parametrize("more", [{"delimiter": "::"}, {"delimiter": None}, {"csv": None}])
def test_fields_that_cannot_be_used_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        summarize({"csv": "a\n1\n", **more}, unwatched)
    assert caught.value.code == "InvalidInput"


@given(st.integers(0, 4 * CHUNK))
@settings(max_examples=20, deadline=None)
def test_progress_is_told_before_each_chunk_and_rises(rows: int) -> None:
    told: list[tuple[int, float]] = []
    summarize({"csv": "x\n" + "7\n" * rows}, lambda done, share: told.append((done, share)))
    assert [done for done, _ in told] == list(range(0, rows + 1, CHUNK))
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert all(0 <= share <= 1 for _, share in told)


def test_progress_may_stop_the_work() -> None:
    def stop(rows: int, share: float) -> None:
        assert rows <= CHUNK, "the work went on"
        if rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        summarize({"csv": "x\n" + "7\n" * 10 * CHUNK}, stop)


@given(st.integers())
def test_a_pause_is_between_nothing_and_two_seconds(milliseconds: int) -> None:
    assume(not 0 <= milliseconds <= 2000)
    with pytest.raises(Refusal, match="from 0 to 2000"):
        pause({"pause": milliseconds})
    assert (pause({}), pause({"pause": 2000})) == (0, 2)
