"""A machine with Redis, sidecar and adapter, each of which a test can end and start again where it was."""

from __future__ import annotations

import shutil
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bridge import entities
from bridge.adapters.dapr import DaprComponents, SidecarConfig
from tests.dapr.sidecar import COMPONENTS, Redis, Sidecar, redis, sidecar

ENTITIES = entities.load(COMPONENTS / "servicebus.json")


def quick(directory: Path) -> Path:
    """The components of Redis, with a second instead of a minute until what was handed out counts as lost."""
    copied = shutil.copytree(COMPONENTS / "redis", directory / "components")
    path = copied / "bus.yaml"
    path.write_text(path.read_text().replace('value: "60000"', 'value: "1000"').replace('value: "5000"', 'value: "500"'))
    return copied


@dataclass
class Machine:
    """Redis, sidecar and adapter, which can be ended and started one by one."""

    directory: Path
    components: Path
    redis_port: int
    app_port: int
    port: int
    stack: AsyncExitStack

    async def redis(self) -> Redis:
        return await self.stack.enter_async_context(redis(self.directory / "redis", self.redis_port))

    @property
    def environ(self) -> dict[str, str]:
        """What the components read from the environment of the sidecar."""
        return {"REDIS_HOST": f"127.0.0.1:{self.redis_port}"}

    async def sidecar(self, protocol: str = "grpc") -> Sidecar:
        made = sidecar(self.directory, self.components, self.environ, self.app_port, self.port, protocol=protocol)
        return await self.stack.enter_async_context(made)

    def adapter(self, connection: SidecarConfig, replica: str = "one") -> AbstractAsyncContextManager[DaprComponents]:
        return DaprComponents.open(connection, ENTITIES, replica=replica, max_message=2**20)
