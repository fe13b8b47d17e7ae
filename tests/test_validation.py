"""Inputs are held against schemas within bounds: what is short here and now, the rest in processes that can be ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge import validation
from bridge.errors import InvalidInput, TooComplex, Unavailable
from bridge.validation import Validation
from tests import core_kit

NEST = {"$ref": "#/$defs/nest"}
TWICE = {"anyOf": [{"type": "array", "items": NEST}, {"type": "array", "items": NEST, "minItems": 1}]}
RECURSIVE = {**NEST, "$defs": {"nest": TWICE}}
DOUBLING = {
    "$ref": "#/$defs/d0",
    "$defs": {**{f"d{each}": {"oneOf": [{"$ref": f"#/$defs/d{each + 1}"}] * 2} for each in range(40)}, "d40": {"type": "object"}},
}


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture
async def bounded() -> AsyncIterator[Validation]:
    made = Validation()
    yield made
    await made.close()


async def judged(bounded: Validation, schema: dict[str, Any], value: Any, name: str = "report") -> InvalidInput | None:
    """The refusal; None if the input fits."""
    try:
        await bounded.require_fit(core_kit.automation(name=name, **schema), core_kit.event(value))
    except InvalidInput as refused:
        return refused
    return None


async def test_a_small_input_is_judged_without_a_process(bounded: Validation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "WORKERS", 0)
    none = Validation()  # has no process to give
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "pattern": "^x+$"}}}
    assert await judged(none, schema, {"a": "xx"}) is None
    refused = await judged(none, schema, {"a": "y"})
    assert refused is not None
    assert [each["rule"] for each in refused.errors] == ["pattern"]


@pytest.mark.parametrize(
    ("schema", "good", "bad", "rule"),
    [
        (RECURSIVE, nested(100, []), [[1, []]], "anyOf"),
        ({"pattern": r"^(\w+)-\1$"}, "ab-ab", "ab-ac", "pattern"),
        ({"items": {"format": "regex"}}, ["(a|b)+"], ["("], "format"),
        ({"items": {"type": "integer"}}, [2**100] * 90_000, [*[2**100] * 90_000, "x"], "type"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "string"}, {"type": "text"}, "anyOf"),
    ],
    ids=["definitions that refer to themselves", "a reference back", "expressions as input", "much", "a schema as input"],
)
async def test_a_process_judges_as_the_bridge_does(bounded: Validation, schema: Any, good: Any, bad: Any, rule: str) -> None:
    assert await judged(bounded, schema, good) is None
    refused = await judged(bounded, schema, bad)
    assert refused is not None
    assert rule in {each["rule"] for each in refused.errors}
    assert core_kit.automation(**schema).violations(bad, validation.MOST) == refused.errors


@pytest.mark.parametrize(
    "value",
    [nested(50, 1), nested(150, {}), [nested(40, None), nested(40, "x")]],
)
async def test_an_input_whose_faults_cannot_be_told_in_time_is_refused_all_the_same(bounded: Validation, value: Any) -> None:
    refused = await judged(bounded, RECURSIVE, value)
    assert refused is not None
    assert "could not be found out within" in refused.detail
    assert refused.hint
    assert await judged(bounded, RECURSIVE, []) is None  # there is a process again


async def test_an_input_that_cannot_be_judged_in_time_is_refused_with_what_to_do(
    bounded: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "SECONDS", 0.5)
    with pytest.raises(TooComplex, match=re.escape("cannot be found out within 0.5 s")) as refused:
        await judged(bounded, DOUBLING, 1)
    assert refused.value.hint


async def test_very_many_faults_cost_the_bridge_neither_time_nor_memory(bounded: Validation) -> None:
    refused = await judged(bounded, {"items": {"type": "string"}}, [0] * 400_000)
    assert refused is not None
    assert 1 <= len(refused.errors) <= validation.MOST
    assert refused.errors[0]["rule"] == "type"


async def test_the_event_loop_goes_on_while_an_input_is_judged(bounded: Validation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "SECONDS", 0.5)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    counting = asyncio.create_task(count())
    with pytest.raises(TooComplex):
        await judged(bounded, DOUBLING, 1)
    counting.cancel()
    assert turns > 5


async def test_who_waits_too_long_for_a_process_is_told_to_come_back(bounded: Validation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "WAIT_SECONDS", 0.2)
    busy = [asyncio.create_task(judged(bounded, DOUBLING, 1, f"busy-{number}")) for number in range(validation.WORKERS)]
    await asyncio.sleep(0.1)
    with pytest.raises(Unavailable) as refused:
        await bounded.require_fit(core_kit.automation(**RECURSIVE), core_kit.event([]))
    assert refused.value.retry_after > 0
    assert all(isinstance(each, TooComplex) for each in await asyncio.gather(*busy, return_exceptions=True))


async def test_a_judgement_that_nobody_waits_for_any_more_leaves_no_answer_for_the_next_one(bounded: Validation) -> None:
    asked = [asyncio.create_task(judged(bounded, DOUBLING, 1)) for _ in range(validation.WORKERS)]
    await asyncio.sleep(0.3)
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert await judged(bounded, RECURSIVE, []) is None


async def test_a_process_sees_no_secret_of_the_bridge(bounded: Validation, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    start = asyncio.create_subprocess_exec

    async def watched(*command: str, **options: Any) -> Any:
        seen.update(options["env"])
        return await start(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    monkeypatch.setenv("APP_API_TOKEN", "secret")
    assert await judged(bounded, RECURSIVE, []) is None
    assert "secret" not in seen.values()
    assert set(seen) <= {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG"}


async def test_a_process_that_ended_while_nobody_needed_it_is_replaced(bounded: Validation) -> None:
    assert await judged(bounded, RECURSIVE, []) is None
    (idle,) = bounded._idle
    idle._process.kill()
    await idle._process.wait()
    assert await judged(bounded, RECURSIVE, []) is None


async def test_a_process_that_took_much_memory_keeps_none_of_it(bounded: Validation) -> None:
    refused = await judged(bounded, {"items": {"type": "string"}}, [0] * 150_000)
    assert refused is not None
    assert bounded._idle == []
