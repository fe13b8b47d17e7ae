"""Changes of a key that other replicas change too."""

from __future__ import annotations

import pytest

from bridge.adapters.dapr.updates import update
from bridge.errors import Conflict, Unavailable
from bridge.index.pagedlog import write
from bridge.testing import FakeClock, MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(FakeClock())


def one_more(found: bytes | None) -> bytes:
    return (found or b"") + b"x"


async def test_a_key_is_created_and_changed(store):
    assert (await update(store, "key", one_more)).value == b"x"
    assert (await update(store, "key", one_more)).value == b"xx"
    assert (await store.get("key")).value == b"xx"


async def test_a_change_is_made_again_on_what_somebody_else_wrote_first(store):
    seen = []

    def change(found: bytes | None) -> bytes:
        if not seen:
            store.fail(Conflict("changed"), key="key")
        seen.append(found)
        return one_more(found)

    await store.create("key", b"a")
    assert (await update(store, "key", change)).value == b"ax"
    assert seen == [b"a", b"a"]


async def test_nothing_is_written_where_nothing_has_to_change(store):
    etag = await store.create("key", b"a")
    assert (await update(store, "key", lambda _: None)).etag == etag


async def test_a_write_whose_answer_was_lost_is_done(store):
    store.fail(Unavailable("lost"), key="key", written=True)
    etag = await write(store, "key", b"a")
    assert await write(store, "key", b"b", etag)


async def test_a_write_that_was_not_made_is_told(store):
    store.fail(Unavailable("away"), key="key")
    with pytest.raises(Unavailable):
        await write(store, "key", b"a")
    await store.create("key", b"of somebody else")
    with pytest.raises(Conflict):
        await write(store, "key", b"a")
