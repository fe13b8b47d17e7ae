from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy import bicep
from tests.deploy.bicep import Bicep
from tests.deploy.deployment import Deployment

Expand = Callable[[str], Deployment]

NEEDED = "param name = 'bridge'\nparam oidcIssuer = 'https://issuer.example.com/'\nparam alertEmail = 'operations@example.com'\n"


@pytest.fixture(scope="session")
def compiler() -> Iterator[Bicep]:
    with bicep.running() as started:
        yield started


@pytest.fixture(scope="session")
def shipped(compiler: Bicep) -> Deployment:
    """What the shipped parameter file makes."""
    return Deployment(compiler.expand(bicep.AZURE / "main.bicepparam"))


@pytest.fixture
def expand(compiler: Bicep, tmp_path: Path) -> Expand:
    """What the template makes with these parameters beside those that it needs."""

    def expanded(parameters: str) -> Deployment:
        file = tmp_path / "main.bicepparam"
        template = os.path.relpath(bicep.AZURE / "main.bicep", tmp_path)
        file.write_text(f"using '{template}'\n{NEEDED}{parameters}\n")
        return Deployment(compiler.expand(file))

    return expanded
