"""What a deployment would make, as the compiler expands it, read for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from tests.deploy.bicep import Json

ROLES = {
    "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39": "Azure Service Bus Data Sender",
    "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0": "Azure Service Bus Data Receiver",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
}
_IDENTITY = re.compile(r"userAssignedIdentities/([\w-]+)', '[\d-]+'\)\.principalId")
_SCOPE = re.compile(r"(?:guid|extensionResourceId)\('([^']+)'")


class Deployment:
    """The resources and outputs of one expansion."""

    def __init__(self, expanded: Json) -> None:
        self.resources: list[Json] = expanded["predictedResources"]
        self.outputs: Json = expanded["outputs"]

    def of(self, kind: str) -> list[Json]:
        """All resources of a type, such as `Microsoft.KeyVault/vaults`."""
        return [each for each in self.resources if each["type"] == kind]

    def one(self, kind: str) -> Json:
        """The properties of the only resource of a type."""
        (found,) = self.of(kind)
        properties: Json = found["properties"]
        return properties

    @cached_property
    def entities(self) -> dict[str, Json]:
        """Queues, topics, subscriptions and rules by their path in the namespace, with their properties."""
        kinds = ("queues", "topics", "topics/subscriptions", "topics/subscriptions/rules")
        found = [each for kind in kinds for each in self.of(f"Microsoft.ServiceBus/namespaces/{kind}")]
        return {each["name"].partition("/")[2]: each["properties"] for each in found}

    @cached_property
    def roles(self) -> set[tuple[str, str, str]]:
        """Who has which role on what: identity, role, and the path of the scope below its provider."""
        return set(self._assigned())

    def _assigned(self) -> Iterator[tuple[str, str, str]]:
        for each in self.of("Microsoft.Authorization/roleAssignments"):
            properties = each["properties"]
            assert properties["principalType"] == "ServicePrincipal"
            identity, scope = _IDENTITY.search(properties["principalId"]), _SCOPE.search(each["name"])
            assert identity is not None, properties
            assert scope is not None, each["name"]
            role = properties["roleDefinitionId"].rpartition("/")[2]
            kind, _, path = scope[1].partition("/providers/")[2].partition("/")
            assert kind.startswith("Microsoft."), scope[1]
            yield identity[1], ROLES.get(role, role), path

    def settings(self, app: str) -> Json:
        """The settings of a function app, by its name in the catalogue."""
        (found,) = (each for each in self.of("Microsoft.Web/sites/config") if f"-{app}-" in each["name"])
        properties: Json = found["properties"]
        return properties

    @cached_property
    def namespace(self) -> str:
        """The name of the Service Bus namespace."""
        (found,) = self.of("Microsoft.ServiceBus/namespaces")
        return str(found["name"])
