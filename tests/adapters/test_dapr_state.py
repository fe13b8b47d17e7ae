"""How the store behaves when the sidecar refuses, answers late or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from bridge.adapters.dapr.errors import SidecarError
from bridge.adapters.dapr.health import Part, SidecarHealth
from bridge.adapters.dapr.sidecar import Component
from bridge.adapters.dapr.state import DaprStore
from bridge.errors import Conflict, Unavailable

REDIS, OTHER = Component("store", "state.redis"), Component("store", "state.other")
LOST = SidecarError(500, "ERR_STATE_SAVE", "failed to set key")


class Redis:
    """Answers as the sidecar does over Redis: many keys are written one by one, a first that fails makes one error of them all."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[object, int]] = {}
        self.writes: list[list[str]] = []
        self.reads: list[list[str]] = []
        self.ttls: dict[str, str] = {}
        self.before: Callable[[], SidecarError | None] = lambda: None

    async def post(self, path, body, **_):
        asked = json.loads(body)
        if path.endswith("/bulk"):
            self.reads.append(asked["keys"])
            return json.dumps([self._item(key) for key in asked["keys"]]).encode()
        self.writes.append([each["key"] for each in asked])
        refused = self.before()
        answers = [self._write(each) for each in asked] if refused is None else [refused]
        return next((each for each in answers if each), b"")

    def _item(self, key):
        return {"key": key, "data": self.kept[key][0], "etag": str(self.kept[key][1])} if key in self.kept else {"key": key}

    def _write(self, each):
        version = self.kept[each["key"]][1] if each["key"] in self.kept else 0
        named = int(each.get("etag", 0))
        if version and version != named:
            return SidecarError(409, "ERR_STATE_SAVE", "mismatch") if named else LOST
        self.kept[each["key"]] = (each["value"], version + 1)
        self.ttls[each["key"]] = each.get("metadata", {}).get("ttlInSeconds", "")
        return None


class Told(SidecarHealth):
    """Keeps what it was told to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.suspects: list[Part] = []

    def suspect(self, part: Part) -> None:
        self.suspects.append(part)
        super().suspect(part)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def redis() -> Redis:
    return Redis()


async def test_writes_of_the_same_moment_share_a_request(redis):
    store = DaprStore(redis, REDIS)
    await asyncio.gather(*(store.create(f"k{number}", b"") for number in range(5)))
    assert redis.writes == [["k0", "k1", "k2", "k3", "k4"]]


async def test_many_who_read_one_key_share_one_look(redis):
    store = DaprStore(redis, REDIS)
    await store.create("key", b"1")
    await asyncio.gather(*(store.get("key") for _ in range(10)), store.get("other"))
    assert redis.reads == [["key", "other"]]


async def test_after_a_refusal_of_many_only_what_is_missing_is_sent_again(redis):
    store = DaprStore(redis, REDIS)
    await store.create("taken", b"1")
    redis.writes.clear()
    outcomes = await asyncio.gather(*(store.create(key, b"2") for key in ("a", "taken", "b")), return_exceptions=True)
    assert [type(each) for each in outcomes] == [str, Conflict, str]
    assert redis.writes == [["a", "taken", "b"]]


async def test_a_create_that_is_lost_on_redis_is_a_conflict(redis):
    await DaprStore(redis, REDIS).create("key", b"1")
    with pytest.raises(Conflict):
        await DaprStore(redis, REDIS).create("key", b"2")


async def test_a_refusal_that_nothing_explains_leaves_the_outcome_open(redis):
    redis.before = lambda: LOST
    with pytest.raises(Unavailable):
        await DaprStore(redis, REDIS).create("key", b"1")


async def test_health_is_told_of_writes_that_were_refused_and_of_no_others(redis, told):
    store, other = DaprStore(redis, REDIS, told), DaprStore(redis, REDIS, told)
    await store.create("key", b"1")
    with pytest.raises(Conflict):
        await other.create("key", b"2")
    assert told.suspects == []
    redis.before = lambda: LOST
    with pytest.raises(Unavailable):
        await store.create("another", b"1")
    assert told.suspects == [Part.WRITES]


async def test_a_store_that_cannot_read_its_probe_does_not_answer_although_the_request_succeeds(redis, told):
    store = DaprStore(redis, REDIS, told)
    await store.probe()
    redis._item = lambda key: {"key": key, "error": "connection refused"}
    with pytest.raises(Unavailable, match="connection refused"):
        await store.probe()
    assert told.suspects == [Part.READS]


async def test_health_is_told_of_a_mismatch_that_is_none(redis, told):
    store = DaprStore(redis, REDIS, told)
    etag = await store.create("key", b"1")
    redis.before = lambda: SidecarError(409, "ERR_STATE_SAVE", "possible etag mismatch. error from state store: OOM")
    with pytest.raises(Conflict):
        await store.save("key", b"2", etag)
    assert told.suspects == [Part.WRITES]


async def test_a_store_is_asked_whether_it_takes_writes_with_a_key_that_ends(redis):
    store = DaprStore(redis, REDIS)
    await store.probe_write()
    redis.before = lambda: LOST
    with pytest.raises(Unavailable, match="failed to set key"):
        await store.probe_write()
    assert redis.writes == [["health-write"]] * 2
    assert redis.ttls == {"health-write": "60"}


async def test_a_gathered_write_that_was_stored_before_the_refusal_is_done(redis):
    store, refusals = DaprStore(redis, REDIS), iter([LOST])

    def stored_but_refused() -> SidecarError | None:
        redis.kept["a"] = ("1", 1)
        return next(refusals, None)

    redis.before = stored_but_refused
    first, second = await asyncio.gather(store.create("a", b"1"), store.create("b", b"1"))
    assert (first, second) == ("1~", "1~")
    assert redis.writes == [["a", "b"], ["b"]]


async def test_the_version_after_a_write_is_read_where_the_store_does_not_count(redis):
    store = DaprStore(redis, OTHER)
    etag = await store.create("key", b"1")
    assert etag == (await store.get("key")).etag
    assert await store.save("key", b"2", etag) == (await store.get("key")).etag


async def test_whoever_was_overtaken_before_the_version_was_read_gets_a_conflict(redis):
    store = DaprStore(redis, OTHER)
    overtaken = redis._write

    def written_twice(each):
        overtaken(each)
        redis.kept[each["key"]] = ("another", 7)

    redis._write = written_twice
    etag = await store.create("key", b"1")
    with pytest.raises(Conflict):
        await store.save("key", b"2", etag)


async def test_a_version_whose_time_is_over_is_a_conflict_although_redis_would_take_it(redis):
    etag = await DaprStore(redis, REDIS).create("key", b"1", -timedelta(seconds=1))
    redis.kept.clear()
    with pytest.raises(Conflict):
        await DaprStore(redis, REDIS).save("key", b"2", etag)
    assert not redis.kept


async def test_a_key_whose_time_is_over_is_created_anew_although_the_store_still_has_it(redis):
    store = DaprStore(redis, REDIS)
    await store.create("key", b"1", -timedelta(seconds=1))
    assert await store.get("key") is None
    assert await store.create("key", b"2") == "2~"


async def test_a_key_that_others_have_written_cannot_be_read_and_the_rest_can(redis):
    redis.kept["foreign"] = ({"not": "ours"}, 1)
    store = DaprStore(redis, REDIS)
    await store.create("own", b"1")
    foreign, own = await asyncio.gather(store.get("foreign"), store.get("own"), return_exceptions=True)
    assert (type(foreign), own.value) == (Unavailable, b"1")


async def test_health_is_told_that_keys_could_not_be_read_although_the_request_succeeds(redis, told):
    redis._item = lambda key: {"key": key, "error": "connection refused"}
    with pytest.raises(Unavailable):
        await DaprStore(redis, REDIS, told).get("k")
    assert told.suspects == [Part.READS]


async def test_while_the_store_is_known_to_be_away_nothing_is_asked_but_the_probe(redis):
    health = SidecarHealth()
    store = DaprStore(redis, REDIS, health)
    await store.create("k", b"1")
    asked = len(redis.reads) + len(redis.writes)
    health.store.lose("connection refused")
    for request in (store.get("k"), store.create("other", b"2"), store.get_many(["k", "other"])):
        with pytest.raises(Unavailable, match="The store is away: connection refused"):
            await request
    assert len(redis.reads) + len(redis.writes) == asked
    await health.store.check(store.probe)
    assert (await store.get("k")).value == b"1"


async def test_no_key_has_a_character_that_a_store_forbids_and_no_two_become_one(redis):
    store, keys = DaprStore(redis, REDIS), ["run/a", "run~1a", "run~a", "a?b", "a#b", "a\\b"]
    for key in keys:
        await store.create(key, key.encode())
    assert not [name for name in redis.kept if set(name) & set("/\\?#")]
    assert [(await store.get(key)).value.decode() for key in keys] == keys
