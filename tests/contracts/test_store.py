"""What every store must do, whichever adapter is behind it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bridge.errors import Conflict
from bridge.ports import Stored

VALUE = b'{"big":1152921504606846976,"text":"\xc3\xa4\xe2\x82\xac \\u0000"}'
SECOND = timedelta(seconds=1)


async def test_a_value_comes_back_byte_for_byte_with_its_version(store):
    etag = await store.create("key", VALUE)
    assert await store.get("key") == Stored(VALUE, etag)


async def test_a_key_that_was_never_stored_is_absent(store):
    assert await store.get("nothing") is None


async def test_a_key_is_created_once(store):
    await store.create("key", b"1")
    with pytest.raises(Conflict):
        await store.create("key", b"2")
    assert (await store.get("key")).value == b"1"


async def test_of_many_who_create_a_key_one_succeeds(store):
    outcomes = await asyncio.gather(*(store.create("key", b"%d" % number) for number in range(20)), return_exceptions=True)
    winners = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    assert [b"%d" % number for number in winners] == [(await store.get("key")).value]


async def test_saving_replaces_the_version_it_names(store):
    first = await store.create("key", b"1")
    second = await store.save("key", b"2", first)
    assert second != first
    assert await store.get("key") == Stored(b"2", second)


async def test_saving_over_another_version_is_a_conflict(store):
    first = await store.create("key", b"1")
    await store.save("key", b"2", first)
    with pytest.raises(Conflict):
        await store.save("key", b"3", first)
    assert (await store.get("key")).value == b"2"


async def test_of_many_who_save_over_one_version_one_succeeds(store):
    etag = await store.create("key", b"start")
    outcomes = await asyncio.gather(*(store.save("key", b"%d" % number, etag) for number in range(20)), return_exceptions=True)
    winners = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    assert [b"%d" % number for number in winners] == [(await store.get("key")).value]


async def test_saving_a_key_that_is_gone_is_a_conflict(store):
    with pytest.raises(Conflict):
        await store.save("nothing", b"1", "1")


async def test_a_conflict_of_one_key_does_not_touch_the_others(store):
    await store.create("taken", b"1")
    outcomes = await asyncio.gather(*(store.create(key, b"2") for key in ("a", "taken", "b")), return_exceptions=True)
    assert [isinstance(outcome, Conflict) for outcome in outcomes] == [False, True, False]
    assert [found and found.value for found in await store.get_many(["a", "taken", "b"])] == [b"2", b"1", b"2"]


async def test_many_keys_are_answered_in_their_order(store):
    await store.create("a", b"1")
    await store.create("b", b"2")
    found = await store.get_many(["b", "nothing", "a", "b"])
    assert [stored and stored.value for stored in found] == [b"2", None, b"1", b"2"]


async def test_no_keys_have_no_values(store):
    assert await store.get_many([]) == []


async def test_a_key_is_absent_when_its_time_to_live_is_over_and_may_be_created_again(store):
    first = await store.create("key", b"1", SECOND)
    assert (await store.get("key")).value == b"1"
    await asyncio.sleep(1.3)
    assert await store.get("key") is None
    assert await store.get_many(["key"]) == [None]
    with pytest.raises(Conflict):
        await store.save("key", b"2", first)
    await store.create("key", b"3")
    assert (await store.get("key")).value == b"3"


async def test_saving_with_a_time_to_live_ends_a_key_that_had_none(store):
    etag = await store.create("key", b"1")
    await store.save("key", b"2", etag, SECOND)
    await asyncio.sleep(1.3)
    assert await store.get("key") is None


async def test_an_output_of_a_megabyte_fits(store):
    value = b"x" * 1_100_000
    await store.create("key", value)
    assert (await store.get("key")).value == value


@pytest.mark.parametrize("key", ["run/order-4711:a@b.c_d", "index/2026-01-31/replica-1/17"])
async def test_the_names_the_bridge_uses_are_keys(store, key):
    await store.create(key, VALUE)
    assert (await store.get(key)).value == VALUE
