"""A new root, step by step as docs/operations.md has it: sidecars before and after a step call each other, and none may be left out."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests.dapr import authority
from tests.dapr.mesh import Member, Mesh

YEAR = timedelta(days=365)
#: Sidecars find each other by multicast, those of other tests too.
OWN = secrets.token_hex(4)
#: What sentry has before the first step and after each: the roots that are trusted, and whose issuer signs.
STEPS = ((("old",), "old"), (("old", "new"), "old"), (("old", "new"), "new"), (("new",), "new"))


def prepared(folder: Path, step: int) -> None:
    """The folder of sentry's certificates after a step."""
    roots, issuer = STEPS[step]
    (folder / f"after-{step}").mkdir()
    trusted = "".join((folder / root / "ca.crt").read_text() for root in roots)
    (folder / f"after-{step}" / "ca.crt").write_text(trusted)
    for name in ("issuer.crt", "issuer.key"):
        shutil.copy(folder / issuer / name, folder / f"after-{step}" / name)


@pytest.fixture
async def members(mesh: Mesh) -> list[Member]:
    """A sidecar that was started after each step."""
    for name in ("old", "new"):
        authority.write(mesh.directory / name, root=10 * YEAR, issuer=YEAR)
    made = []
    for step in range(len(STEPS)):
        prepared(mesh.directory, step)
        made.append(await mesh.member(app_id(step), await mesh.sentry(f"after-{step}")))
    return made


def app_id(step: int) -> str:
    return f"after-{step}-{OWN}"


async def test_at_each_step_sidecars_of_before_and_after_call_each_other(members: list[Member]) -> None:
    for before in range(len(STEPS) - 1):
        assert await members[before].call(app_id(before + 1), "x") == (200, '{"said": "done"}')
        assert await members[before + 1].call(app_id(before), "x") == (200, '{"said": "done"}')


async def test_no_step_may_be_left_out(members: list[Member]) -> None:
    skipped = [(0, 2), (2, 0), (1, 3), (3, 1)]
    told = await asyncio.gather(*(members[caller].call(app_id(called), "x") for caller, called in skipped))
    assert [status for status, _ in told] == [500] * len(skipped)
    assert all(not member.app.asked for member in members)
