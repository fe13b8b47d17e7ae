"""Bytes that are nearly what a parser reads: out comes a value or an error of the bridge, never anything else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import NotFound
from tests.fuzz.parsers import PARSERS, NotOneLine, refusals, seeds

CHUNKS = st.binary(max_size=6) | st.sampled_from(
    [b"[" * 3_000, b"{" * 3_000, b"&a [*a]", b"1e400", b"-", b"\xff\xfe", b'"', b"\n---\n", b"null"]
)


@st.composite
def altered(draw: st.DrawFn, parser: str) -> bytes:
    """A seed in which a few stretches have become something else."""
    text = draw(st.sampled_from(seeds(parser)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(CHUNKS) + text[at + draw(st.integers(0, 12)) :]
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
