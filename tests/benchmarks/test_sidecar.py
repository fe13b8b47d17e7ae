from __future__ import annotations

from pathlib import Path

from bridge.local import daprd
from tests.benchmarks.keys import KEYS, MANY, key, keys
from tests.benchmarks.sidecar import Cost, command

SIDECAR = daprd.Daprd(Path("daprd"), Path(), Path(), {"dapr-http-port": 3500, "dapr-grpc-port": 50001})


def test_a_cost_is_shown_as_rate_latency_alone_and_cpu_of_both_sides() -> None:
    assert Cost(5431.4, 0.71, 1.42, 0.152, 0.118).cells() == ["5,431", "0.7/1.4", "0.15", "0.12"]


def test_the_sdk_speaks_to_the_grpc_port_and_the_others_to_the_http_port() -> None:
    assert command("sdk", "get", SIDECAR)[-1] == "127.0.0.1:50001"
    assert command("plain", "get", SIDECAR)[-3:] == ["plain", "get", "http://127.0.0.1:3500"]


def test_a_key_comes_again_only_after_all_others() -> None:
    assert len({key("a", number) for number in range(KEYS)}) == KEYS
    assert key("a", KEYS) == key("a", 0)


def test_a_bulk_read_asks_for_different_keys_even_where_they_begin_anew() -> None:
    assert len(set(keys("a", KEYS - 1))) == MANY
