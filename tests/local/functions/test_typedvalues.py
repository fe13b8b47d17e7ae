"""Values for workers of Azure's protocol, in the kinds that they know."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.local.functions.rpc import typedvalues
from bridge.local.functions.rpc.protocol import TypedData

LISTS, EMPTY = "TypedDataCollection", "IncludeEmptyEntriesInMessagePayload"


def _filled(value: dict[str, Any], *knows: str) -> Any:
    data = TypedData()
    typedvalues.fill(data, value, frozenset(knows))
    return data


@pytest.mark.parametrize(("knows", "texts"), [((LISTS,), ["a"]), ((LISTS, EMPTY), ["a", "", ""])])
def test_empty_texts_of_a_list_go_to_workers_that_ask_for_them(knows: tuple[str, ...], texts: list[str]) -> None:
    assert list(_filled({"collection_string": ["a", None, ""]}, *knows).collection_string.string) == texts


def test_a_list_is_json_for_a_worker_that_knows_no_lists() -> None:
    assert _filled({"collection_string": ["ü", None]}).json == '["ü",null]'
    assert _filled({"collection_sint64": [1, 2]}).json == "[1,2]"
    assert _filled({"collection_bytes": ["AAE="]}).json == '["AAE="]'
    assert list(_filled({"collection_sint64": [1, 2]}, LISTS).collection_sint64.sint64) == [1, 2]
