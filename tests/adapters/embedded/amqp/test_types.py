from __future__ import annotations

import contextlib
import math
import tracemalloc
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.amqp.amqptypes import (
    Array,
    Byte,
    Char,
    Described,
    Float,
    Int,
    Long,
    Short,
    Symbol,
    UByte,
    UInt,
    ULong,
    Uri,
    UShort,
)
from bridge.amqp.decode import decode, decode_plain
from bridge.amqp.encode import encode
from bridge.amqp.scan import BadEncoding, skip


def whole(kind: type[int], bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high).map(kind)


MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    *(whole(kind, bits, signed=False) for kind, bits in ((UByte, 8), (UShort, 16), (UInt, 32), (ULong, 64))),
    *(whole(kind, bits, signed=True) for kind, bits in ((Byte, 8), (Short, 16), (Int, 32), (Long, 64))),
    st.floats(width=32).map(Float),
    st.floats(),
    st.decimals(allow_nan=False, places=10, min_value=-(10**20), max_value=10**20),
    st.text(),
    st.text(st.characters(codec="ascii")).map(Symbol),
    st.characters(codec="utf-8").map(Char),
    st.text().map(Uri),
    st.binary(max_size=400),
    st.uuids(),
    MOMENTS,
    st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.text(), inner, max_size=5),
        st.builds(Described, st.integers(2**40, 2**50).map(ULong), inner),
    ),
    max_leaves=20,
)


def same(first: Any, second: Any, *, typed: bool = True) -> bool:
    """Equal in value and, if `typed`, in type; one not-a-number is like another."""
    if isinstance(first, float) and math.isnan(first):
        return isinstance(second, float) and math.isnan(second)
    if isinstance(first, list):
        return len(first) == len(second) and all(same(*pair, typed=typed) for pair in zip(first, second, strict=True))
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key], typed=typed) for key in first)
    if isinstance(first, Described):
        return same(first.descriptor, second.descriptor, typed=typed) and same(first.value, second.value, typed=typed)
    return (type(first) is type(second) or not typed) and first == second


@given(VALUES)
def test_what_is_encoded_is_decoded_with_its_type(value: Any) -> None:
    data = encode(value)
    found, end = decode(data)
    assert same(found, value)
    assert end == len(data) == skip(data, 0)


@given(VALUES)
def test_plain_reading_gives_equal_values(value: Any) -> None:
    data = encode(value)
    found, end = decode_plain(data)
    assert end == len(data)
    assert encode(decode(data)[0]) == data
    assert same(found, value, typed=False)


@given(VALUES, st.data())
def test_a_value_that_is_cut_off_is_refused(value: Any, data: st.DataObject) -> None:
    whole = encode(value)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for read in (decode, decode_plain, lambda part: skip(part, 0)):
        with pytest.raises(BadEncoding):
            read(cut)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_the_only_error_is_bad_encoding(data: bytes) -> None:
    for read in (decode, decode_plain, lambda part: skip(part, 0)):
        with contextlib.suppress(BadEncoding):
            read(data)


@given(
    st.one_of(
        st.lists(whole(Long, 64, signed=True)).map(lambda items: Array(0x81, items)),
        st.lists(MOMENTS).map(lambda items: Array(0x83, items)),
    )
)
def test_arrays_are_decoded_to_their_items(array: Array) -> None:
    assert decode(encode(array))[0] == array.items


@pytest.mark.parametrize(
    "number", [Decimal("12345.678"), Decimal("-0.001"), Decimal("1E+30"), Decimal(0), Decimal("Infinity"), Decimal("-Infinity")]
)
def test_decimals_go_round(number: Decimal) -> None:
    assert decode(encode(number))[0] == number


def test_a_decimal_of_dotnet_is_read() -> None:
    assert decode(bytes.fromhex("94303a00000000000000000000" + "00bc614e"))[0] == Decimal("12345.678")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x00" * 100_000, id="descriptors of descriptors"),
        pytest.param(b"\xc0\x02\x01" * 1000, id="lists within lists"),
        pytest.param(b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40", id="an array of four billion nulls"),
        pytest.param(b"\xf0\x00\x00\x00\x05\x00\x01\x00\x01\x45", id="an array of 65,537 empty lists"),
        pytest.param(b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff", id="a list of four billion"),
        pytest.param(b"\xb0\xff\xff\xff\xff", id="binary of 4 GB"),
        pytest.param(b"\xc1\x04\x02\xc0\x00\x00", id="a list as a key"),
    ],
)
def test_what_is_huge_or_deep_is_refused_without_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        for read in (decode, decode_plain):
            with pytest.raises(BadEncoding):
                read(data)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [object(), {1, 2}, 2**64])
def test_what_amqp_has_no_type_for_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(value)
