"""A rollout under load: bridges are replaced, one at a time, by others of a later release and by those of the earlier one again.

A release is here what a bridge is started with: its code, catalogue, policies and settings. Runs that one began are ended by the other.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bridge.client import BridgeClient
from tests.acceptance.bridge_process import HERE, BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.chaos.place import Door, Place

Opening = Callable[[Scripted], AbstractAsyncContextManager[Place]]

ENDS = {"replaced after SIGTERM": 3, "replaced after SIGKILL": 2}
CATALOGUE, POLICIES = HERE / "automations.yaml", HERE / "resiliency.yaml"
ONLY_LATER = "later"  #: an automation that only the later release has
_SETTINGS = {"drain: 2s": "drain: 1s", "sweep_every: 5s": "sweep_every: 3s", "max_input_bytes: 1MiB": "max_input_bytes: 2MiB"}


@dataclass(frozen=True)
class Release:
    """The files and the settings of a release; `prefix` starts the bridge in another folder, where there is other code."""

    catalogue: Path = CATALOGUE
    policies: Path = POLICIES
    settings: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()

    def config(self, usual: str) -> str:
        """The settings of a bridge, with what is different in this release."""
        changed = {str(CATALOGUE): str(self.catalogue), str(POLICIES): str(self.policies), **self.settings}
        for old, new in changed.items():
            assert old in usual, f"{old} is not among the settings"
            usual = usual.replace(old, new)
        return usual


def later(folder: Path) -> Release:
    """More of everything: an automation, a target, properties, attempts, time; and a target at another place."""
    automations = {each["metadata"]["name"]: each for each in yaml.safe_load_all(CATALOGUE.read_text()) if each}
    echo, best = automations["echo"]["spec"], automations["fan.best-effort"]["spec"]
    echo["input"]["properties"]["note"] = {"type": "string"}
    echo["deadline"] = "2m"
    echo["targets"][0]["http"]["app"] = "brisk"  # the old place stays, for runs in hand
    best["targets"].append({"name": "third", "http": {"app": "scripted", "path": "/api/echo"}})
    automations["topic.work"]["spec"]["targets"][0]["topic"]["attempts"] = 3
    automations[ONLY_LATER] = {**automations["patient"], "metadata": {"name": ONLY_LATER}}
    policies = yaml.safe_load(POLICIES.read_text())
    for retry in policies["spec"]["policies"]["retries"].values():
        retry["maxRetries"] += 1
    return Release(_written(folder / "later.yaml", *automations.values()), _written(folder / "later-policies.yaml", policies), _SETTINGS)


def _written(file: Path, *documents: Any) -> Path:
    file.write_text(yaml.safe_dump_all(documents))
    return file


@dataclass
class Rolling:
    """Implements `Place`: another one, whose bridges are only ended to be replaced. `started` counts the bridges of each release."""

    place: Place
    releases: tuple[Release, Release]
    usual: Sequence[str]
    started: Counter[str] = field(default_factory=Counter)

    @property
    def bridges(self) -> Sequence[BridgeProcess]:
        return self.place.bridges

    @property
    def ends(self) -> Mapping[str, int]:
        return ENDS

    @property
    def hosted(self) -> frozenset[str]:
        return self.place.hosted

    def worked(self) -> Iterable[tuple[str, str]]:
        return self.place.worked()

    def door(self, number: int = 0) -> AbstractAsyncContextManager[Door]:
        return self.place.door(number)

    async def end(self, how: str, chance: random.Random) -> None:
        """Replace one bridge by one of the release that it has not."""
        number = chance.randrange(len(self.bridges))
        bridge, (earlier, new) = self.bridges[number], self.releases
        release = earlier if bridge.config == new.config(self.usual[number]) else new
        await bridge.stop(signal.SIGTERM if "SIGTERM" in how else signal.SIGKILL)
        await self.start(number, release)

    async def start(self, number: int, release: Release) -> None:
        """Start a bridge of a release, and see that it is one."""
        bridge, is_later = self.bridges[number], release is self.releases[1]
        bridge.config, bridge.prefix = release.config(self.usual[number]), release.prefix
        await bridge.start()
        async with BridgeClient(bridge.url) as client:
            names = {each["name"] for each in await client.automations()}
        assert (ONLY_LATER in names) is is_later
        self.started["later" if is_later else "earlier"] += 1


@asynccontextmanager
async def rolling(folder: Path, opening: Opening, app: Scripted, earlier: Release | None = None) -> AsyncIterator[Rolling]:
    """The bridges of another place, first of the release that its settings name, and after each end of the other one."""
    async with opening(app) as place:
        yield Rolling(place, (earlier or Release(), later(folder)), [bridge.config for bridge in place.bridges])
