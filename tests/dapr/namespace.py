"""A machine with components/azure: a Service Bus namespace of its own, which the sidecar reaches over AMQP, and state in Redis."""

from __future__ import annotations

import json
import re
import shutil
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.local.freeports import free_ports
from tests.acceptance.bridge_process import HERE
from tests.acceptance.namespace_process import NamespaceProcess
from tests.dapr.cutting import Cable
from tests.dapr.machine import Machine
from tests.dapr.sidecar import COMPONENTS

#: What a pod has instead of a connection string.
_IDENTITY = re.compile(
    r"  - name: namespaceName\n    envRef: SERVICEBUS_NAMESPACE\n(  #.*\n)?  - name: azureAuthMethods\n    value: workloadIdentity\n"
)
_CONNECTION = "  - name: connectionString\n    envRef: SERVICEBUS_CONNECTION\n"


def resources(directory: Path) -> Path:
    """The bridge's resources for Azure, but for the connection string and the store; endpoints and their keys need a vault."""
    made = directory / "components"
    made.mkdir(parents=True)
    for name in ("bus.yaml", "queues.yaml"):
        shutil.copy(COMPONENTS / "azure" / name, made)
        connect(made / name)
    for path in ("azure/subscriptions.yaml", "azure/resiliency.yaml", "azure/configuration.yaml", "redis/store.yaml"):
        shutil.copy(COMPONENTS / path, made)
    return made


def connect(component: Path) -> None:
    """Give a component the connection string of a namespace in place of the identity of a pod."""
    text, replaced = _IDENTITY.subn(_CONNECTION, component.read_text())
    assert replaced == 1, component
    component.write_text(text)


def with_subscription(entity: str, folder: Path) -> Path:
    """A file with the entities of the tests and one more `topic/subscription`."""
    name, _, subscription = entity.partition("/")
    entities = json.loads((HERE / "servicebus.json").read_text())
    (topic,) = [each for each in entities["UserConfig"]["Namespaces"][0]["Topics"] if each["Name"] == name]
    topic["Subscriptions"].append({"Name": subscription, "Properties": {}})
    folder.mkdir(parents=True)
    file = folder / "servicebus.json"
    file.write_text(json.dumps(entities))
    return file


@dataclass
class NamespaceMachine(Machine):
    """Beside Redis and sidecar there is a namespace, and a cable between the sidecar and the namespace."""

    cable: Cable
    namespace: NamespaceProcess

    @classmethod
    def planned(cls, folder: Path, stack: AsyncExitStack, entities: Path = HERE / "servicebus.json") -> NamespaceMachine:
        """Nothing of it is started yet; what is started ends with the stack."""
        namespace = NamespaceProcess(folder / "namespace", entities, port=free_ports(1)[0])
        return cls(folder, resources(folder), *free_ports(3), stack, Cable(), namespace)

    def beside(self, folder: Path) -> NamespaceMachine:
        """Another machine with a sidecar of its own, on the same namespace and the same Redis."""
        app_port, port = free_ports(2)
        return replace(self, directory=folder, app_port=app_port, port=port)

    async def broker(self) -> NamespaceProcess:
        """Start the namespace, and lay the cable."""
        await self.stack.enter_async_context(self.namespace)
        await self.stack.enter_async_context(self.cable.laid(self.namespace.port))
        return self.namespace

    async def broker_again(self) -> None:
        """Kill the namespace, and start it where it was."""
        await self.namespace.stop(signal.SIGKILL)
        await self.namespace.__aenter__()

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "SERVICEBUS_CONNECTION": self.over_the_cable}

    @property
    def over_the_cable(self) -> str:
        """The connection string of whoever is connected by the cable."""
        return self.namespace.connection_string.replace(f":{self.namespace.port};", f":{self.cable.port};")
