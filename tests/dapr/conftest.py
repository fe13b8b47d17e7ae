from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.acceptance.scripted import Scripted, scripted
from tests.dapr.machine import Machine, quick
from tests.dapr.mesh import Mesh
from tests.dapr.sidecar import free_ports


@pytest.fixture
async def machine(tmp_path) -> AsyncIterator[Machine]:
    async with AsyncExitStack() as stack:
        yield Machine(tmp_path, quick(tmp_path), *free_ports(3), stack)


@pytest.fixture
async def app() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


@pytest.fixture
async def mesh(tmp_path) -> AsyncIterator[Mesh]:
    async with AsyncExitStack() as stack:
        yield Mesh(tmp_path, stack)
