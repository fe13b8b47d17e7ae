"""`table.summarize`: say what is in the columns of a CSV table (RFC 4180, with a delimiter of choice)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from automations import inputs
from automations.column import Column, shorten
from automations.refusal import Refusal

DELIMITERS = (",", ";", "\t", "|")
COLUMNS = 200  #: at most, which keeps a result below the 256 kB of a Service Bus message
CHUNK = 250  #: rows between two looks at the clock and the bridge
LONGEST_PAUSE = 2_000  #: milliseconds

#: Told before each chunk: rows done, and the share of the text that they are, 0 to 1. It may raise to stop the work.
Progress = Callable[[int, float], None]


def pause(value: Mapping[str, Any]) -> float:
    """Seconds to wait before each chunk, so that people can watch progress and cancel. Raises Refusal `InvalidInput`."""
    return inputs.whole(value, "pause", default=0, least=0, most=LONGEST_PAUSE) / 1000


def summarize(value: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """How many rows `csv` has, and type, counts and bounds of each column. Raises Refusal `NotATable` or `InvalidInput`."""
    source = io.StringIO(inputs.text(value, "csv").removeprefix("\ufeff"), newline="")
    delimiter = inputs.one_of(value, "delimiter", DELIMITERS)
    rows = _rows(source, delimiter)
    columns = _columns(next(rows, []))
    size = max(len(source.getvalue()), 1)
    count = 0
    progress(0, 0.0)
    for count, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise Refusal("NotATable", _uneven(count, row, columns, delimiter))
        for column, text in zip(columns, row, strict=True):
            column.take(text)
        if count % CHUNK == 0:
            progress(count, source.tell() / size)
    return {"rows": count, "columns": [column.view() for column in columns]}


def _rows(source: io.StringIO, delimiter: str) -> Iterator[list[str]]:
    """Every row that is not blank. Raises Refusal `NotATable` where quotes do not fit."""
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    try:
        yield from (row for row in reader if row)
    except csv.Error as fault:
        mend = 'Quote a value with "..." as a whole, and write a quote inside it twice.'
        raise Refusal("NotATable", f"Line {reader.line_num} cannot be read: {fault}. {mend}") from fault


def _columns(header: list[str]) -> list[Column]:
    if not header:
        raise Refusal("NotATable", "`csv` is empty. Send a header line with the names of the columns, then one line for each row.")
    if len(header) > COLUMNS:
        raise Refusal("NotATable", f"The header has {len(header)} columns, and {COLUMNS} are the most. Send fewer columns at a time.")
    return [Column(name.strip()) for name in header]


def _uneven(number: int, row: list[str], columns: list[Column], delimiter: str) -> str:
    names = ", ".join(shorten(column.name) for column in columns[:10]) + (", …" if len(columns) > 10 else "")
    have = f"Row {number} has {_values(len(row))}, the header has {len(columns)} ({names})."
    return f"{have} Quote values that contain {delimiter!r}, or name the delimiter that the table uses in `delimiter`."


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"
