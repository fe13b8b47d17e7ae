from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bridge.adapters.embedded.keys import key
from bridge.errors import ConfigurationError


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    made = key(tmp_path, "signing.key")
    assert len(made) == 32
    assert key(tmp_path, "signing.key") == made
    assert stat.S_IMODE((tmp_path / "signing.key").stat().st_mode) == 0o600


def test_every_directory_has_another_key(tmp_path: Path) -> None:
    assert key(tmp_path, "a") != key(tmp_path, "b")


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_a_key_that_everybody_may_use_stops_the_start_with_the_mend(tmp_path: Path, mode: int) -> None:
    key(tmp_path, "signing.key")
    (tmp_path / "signing.key").chmod(mode)
    with pytest.raises(ConfigurationError, match="delete it, so that a new one is made"):
        key(tmp_path, "signing.key")


def test_a_key_that_was_cut_short_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "signing.key").write_bytes(b"short")
    (tmp_path / "signing.key").chmod(0o600)
    with pytest.raises(ConfigurationError, match="has 5 bytes instead of 32"):
        key(tmp_path, "signing.key")
