"""Bytes that are nearly what a parser reads: out comes a value or an error of the bridge, never anything else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import NotFound
from tests.fuzz.parsers import PARSERS, NotOneLine, refusals, seeds

WORD = re.compile(rb'"[^"\n]*"|[-+.\w]+')
#: What stands in the place of a word: other kinds of values, and such as are too large, too long or not to be shown.
WORDS = [
    *(b"null", b"true", b"{}", b"[]", b"0", b"-1", b"1e400", b"NaN", b"9" * 5_000, b"2026-13-45", b"!!int x", b"*a", b"&a [*a]"),
    *(b'""', b'"\\n"', b'"\\u001b"', b'"\\ud800"', b'"' + b"x" * 30_000 + b'"', b"[" * 3_000, b"{" * 3_000, b"\n---\n", b"\xff\xfe"),
]


@st.composite
def altered(draw: st.DrawFn, parser: str) -> bytes:
    """A seed in which some words or stretches have become something else."""
    text = draw(st.sampled_from(seeds(parser)))
    for _ in range(draw(st.integers(1, 3))):
        words = [match.span() for match in WORD.finditer(text)]
        if words and draw(st.integers(0, 3)):
            (start, end), new = draw(st.sampled_from(words)), draw(st.sampled_from(WORDS))
        else:
            start = draw(st.integers(0, len(text)))
            end, new = start + draw(st.integers(0, 12)), draw(st.binary(max_size=6))
        text = text[:start] + new + text[end:]
    return text


@pytest.mark.parametrize("parser", PARSERS)
def test_every_seed_is_read(parser: str) -> None:
    assert seeds(parser)
    for seed in seeds(parser):
        PARSERS[parser](seed)


@pytest.mark.parametrize("parser", PARSERS)
@settings(deadline=None)
@given(st.data())
def test_an_altered_seed_is_read_or_refused(parser: str, data: st.DataObject) -> None:
    PARSERS[parser](data.draw(altered(parser) | st.binary(max_size=40)))


@pytest.mark.parametrize("error", [RecursionError(), ValueError("x"), NotFound("a\nb"), NotFound("x" * 100_000)])
def test_anything_else_would_be_noticed(error: Exception) -> None:
    with pytest.raises(NotOneLine if isinstance(error, NotFound) else type(error)), refusals():
        raise error
