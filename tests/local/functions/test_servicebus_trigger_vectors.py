"""What Microsoft's own Functions host does with messages of Service Bus, recorded from it, done by the bridge's with its own broker.

`SERVICEBUS_TRIGGER_VECTORS` names another file of the same form.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bridge.local.functions import powershell

from . import trigger_vector_rules as rules
from .conftest import need
from .powershell_kit import pwsh
from .trigger_vector_kit import Json, VectorHost, running
from .trigger_vector_plan import PlannedVector, planned

FILE = Path(os.environ.get("SERVICEBUS_TRIGGER_VECTORS") or Path(__file__).parent / "servicebus-trigger-vectors.json")
AT_ONCE = 12
PATIENCE = 30.0  #: seconds in which a vector has shown what is expected of it

_RECORDED: list[Json] = json.loads(FILE.read_text())


@pytest.mark.parametrize("runtime", sorted({each["runtime"] for each in _RECORDED}))
async def test_the_host_does_with_messages_what_azures_does(runtime: str, tmp_path: Path) -> None:
    if runtime == "powershell":
        need(pwsh() is not None, f"there is no pwsh; install PowerShell or name it in {powershell.VARIABLE}")
    plans = planned([each for each in _RECORDED if each["runtime"] == runtime])
    at_once = asyncio.Semaphore(AT_ONCE)
    async with running(tmp_path, plans) as host:

        async def difference(plan: PlannedVector) -> str:
            async with at_once:
                await host.send(plan)
                return await _waited(plan, host)

        found = await asyncio.gather(*map(difference, plans))
        later = [await _difference(plan, host) if not rules.goes_on(plan.vector) else "" for plan in plans]
    differences = [first or then for first, then in zip(found, later, strict=True) if first or then]
    assert not differences, f"{len(differences)} of {len(plans)}\n" + "\n".join(differences)


async def _waited(plan: PlannedVector, host: VectorHost) -> str:
    until = asyncio.get_running_loop().time() + PATIENCE
    while (different := await _difference(plan, host)) and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(0.05)
    return different


async def _difference(plan: PlannedVector, host: VectorHost) -> str:
    """What of a vector is seen otherwise than recorded; nothing if that is right."""
    seen, expected = await host.seen(plan), rules.expected(plan.vector, refused=host.refuses(plan))
    different = [name for name in expected if not rules.same(expected[name], seen.get(name))]
    lines = [f"  {name}\n    expected {_short(expected[name])}\n    seen     {_short(seen.get(name))}" for name in different]
    return "\n".join([plan.vector["id"], *lines]) if lines else ""


def _short(value: Any) -> str:
    return json.dumps(value, sort_keys=True)[:2500]
