"""One signing key for all replicas."""

from __future__ import annotations

import asyncio

import pytest

from bridge.adapters.dapr import signingkey
from bridge.errors import ConfigurationError, Unavailable
from bridge.testing import FakeClock, MemoryStore


def test_a_file_is_taken_as_it_is_without_its_line_end(tmp_path):
    (tmp_path / "key").write_text("k" * 32 + "\n")
    assert signingkey.from_file(tmp_path / "key") == b"k" * 32


@pytest.mark.parametrize("text", ["", "k" * 31])
def test_a_file_that_is_too_short_is_refused(tmp_path, text):
    (tmp_path / "key").write_text(text)
    with pytest.raises(ConfigurationError, match=f"has {len(text)} characters"):
        signingkey.from_file(tmp_path / "key")


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        signingkey.from_file(tmp_path / "key")


async def test_replicas_that_start_together_have_one_key():
    store = MemoryStore(FakeClock(), shared=True)
    keys = await asyncio.gather(*(signingkey.from_state(store) for _ in range(5)))
    assert len(set(keys)) == 1
    assert len(keys[0]) >= 32


async def test_another_store_has_another_key():
    assert await signingkey.from_state(MemoryStore(FakeClock())) != await signingkey.from_state(MemoryStore(FakeClock()))


@pytest.mark.parametrize("written", [True, False])
async def test_a_create_whose_outcome_is_not_known_is_looked_up(written):
    store = MemoryStore(FakeClock())
    store.fail(Unavailable("no answer"), written=written)
    if written:
        assert await signingkey.from_state(store) == await signingkey.from_state(store)
    else:
        with pytest.raises(Unavailable, match="could not be stored"):
            await signingkey.from_state(store)
