"""`from bridge import …`: the names a user of the package may count on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bridge
from bridge import client

REFERENCE = (Path(__file__).parent.parent / "docs" / "reference.md").read_text()


def test_the_public_names_are_sorted_and_each_is_there() -> None:
    assert bridge.__all__ == sorted(bridge.__all__)
    assert [name for name in bridge.__all__ if getattr(bridge, name) is not getattr(client, name)] == []


def test_whatever_the_client_offers_is_public() -> None:
    assert set(client.__all__) - {"DEFAULT_URL"} == set(bridge.__all__)


@pytest.mark.parametrize("name", bridge.__all__)
def test_a_public_name_is_documented(name: str) -> None:
    assert f"`{name}`" in REFERENCE.partition("## From Python")[2].partition("\n## ")[0]


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'bridge' has no attribute 'Nothing'"):
        _ = bridge.Nothing


def test_importing_the_package_loads_nothing_until_a_name_is_used() -> None:
    look = "import sys, bridge; before = 'aiohttp' in sys.modules; from bridge import BridgeClient; print(before, BridgeClient.__name__)"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout == "False BridgeClient\n"


def test_the_types_of_the_package_are_there_for_its_users() -> None:
    assert (Path(bridge.__file__).parent / "py.typed").exists()
