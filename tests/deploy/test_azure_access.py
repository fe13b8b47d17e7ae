"""Every identity has the roles that it needs, each on one entity, and no other."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from bridge import catalog, entities
from bridge.events import DEADLETTERS
from tests.deploy.conftest import Expand
from tests.deploy.deployment import Deployment
from tests.sharedtools import CHECKOUT

COMPONENTS = CHECKOUT / "components"
LISTED = entities.load(COMPONENTS / "servicebus.json")
SENDER, RECEIVER = "Azure Service Bus Data Sender", "Azure Service Bus Data Receiver"
APPS = {
    "python-functions": ("automation-python/table-summarize",),
    "powershell-functions": ("automation-powershell/host-inventory", "automation-powershell/files-retention"),
}

Right = tuple[str, str]


def documents(*parts: str) -> list[Any]:
    return list(yaml.safe_load_all(COMPONENTS.joinpath(*parts).read_text()))


def on_the_bus(deployment: Deployment, identity: str) -> set[Right]:
    """The roles of an identity on Service Bus, each with its entity as senders and receivers call it."""
    prefix = f"namespaces/{deployment.namespace}/"
    found = {(role, scope) for who, role, scope in deployment.roles if who == f"bridge-{identity}" and scope.startswith("namespaces/")}
    return {(role, scope.removeprefix(prefix).replace("/subscriptions/", "/").partition("/")[2]) for role, scope in found}


def test_the_bridge_may_send_to_every_topic_and_receive_what_its_sidecar_subscribes_to(shipped: Deployment) -> None:
    (bus, queues) = (documents("azure", file)[0] for file in ("bus.yaml", "queues.yaml"))
    consumer = next(each["value"] for each in bus["spec"]["metadata"] if each["name"] == "consumerID")
    read = [each["spec"] for each in documents("azure", "subscriptions.yaml")]
    received = {f"{each['topic']}/{consumer}" for each in read if each["pubsubname"] == bus["metadata"]["name"]}
    received |= {each["topic"] for each in read if each["pubsubname"] == queues["metadata"]["name"]}
    assert DEADLETTERS in received
    sent = {topic.name for topic in LISTED.topics}
    assert on_the_bus(shipped, "bridge") == {(SENDER, each) for each in sent} | {(RECEIVER, each) for each in received}


def test_the_bridge_may_send_to_every_target_of_the_catalogue(shipped: Deployment) -> None:
    automations = catalog.load(CHECKOUT / "functions" / "automations.yaml")
    targets = {target.topic.name for each in automations for target in each.targets if target.topic is not None}
    assert targets
    assert targets <= {entity for role, entity in on_the_bus(shipped, "bridge") if role == SENDER}


def test_the_bridge_may_send_to_queues_of_targets(expand: Expand) -> None:
    listed = {"Queues": [{"Name": DEADLETTERS}, {"Name": "work"}], "Topics": [{"Name": "automation-results"}]}
    expanded = expand(f"param list = json('{json.dumps(listed)}')")
    assert on_the_bus(expanded, "bridge") == {(SENDER, "work"), (SENDER, "automation-results"), (RECEIVER, DEADLETTERS)}


def test_a_function_app_may_read_its_own_work_and_publish_results(shipped: Deployment) -> None:
    for app, sources in APPS.items():
        assert on_the_bus(shipped, app) == {(SENDER, "automation-results"), *((RECEIVER, source) for source in sources)}


def test_nobody_else_has_a_role_and_none_is_on_the_whole_namespace(shipped: Deployment) -> None:
    assert {who for who, _, _ in shipped.roles} == {"bridge-bridge", *(f"bridge-{app}" for app in APPS)}
    assert f"namespaces/{shipped.namespace}" not in {scope for _, _, scope in shipped.roles}
    assert {(who, role) for who, role, scope in shipped.roles if scope.startswith("vaults/")} == {
        ("bridge-bridge", "Key Vault Secrets User")
    }


def test_a_function_app_may_use_its_own_storage_and_report(shipped: Deployment) -> None:
    for app in APPS:
        rights = {(role, scope) for who, role, scope in shipped.roles if who == f"bridge-{app}" and not scope.startswith("namespaces/")}
        assert {role for role, _ in rights} == {
            *("Storage Blob Data Owner", "Storage Queue Data Contributor", "Storage Table Data Contributor"),
            "Monitoring Metrics Publisher",
        }
        assert len({scope for _, scope in rights}) == 2
    owners = [(who, scope) for who, _, scope in shipped.roles if scope.startswith("storageAccounts/")]
    assert len({scope for _, scope in owners}) == len(set(owners)) == len(APPS)


def test_an_application_may_do_what_its_component_says(expand: Expand) -> None:
    listed = {
        "Queues": [{"Name": DEADLETTERS}],
        "Topics": [
            *({"Name": name} for name in ("automation-requests", "automation-results")),
            *(
                {"Name": "automation-replies", "Subscriptions": [{"Name": "orders"}]},
                {"Name": "work", "Subscriptions": [{"Name": "worker"}]},
            ),
        ],
    }
    expanded = expand(
        f"param list = json('{json.dumps(listed)}')\n"
        "param applications = [\n"
        "  { name: 'orders', kubernetesNamespace: 'shop', sends: ['automation-requests'], receives: ['automation-replies/orders'] }\n"
        "  { name: 'worker', kubernetesNamespace: 'default', sends: ['automation-results'], receives: ['work/worker'] }\n"
        "]"
    )
    for folder, app in (("requester", "orders"), ("worker", "worker")):
        settings = {each["name"]: each.get("value") for each in documents(folder, "azure", "bus.yaml")[0]["spec"]["metadata"]}
        sent, read = settings["publishingScopes"].removeprefix(f"{app}="), settings["subscriptionScopes"].removeprefix(f"{app}=")
        assert on_the_bus(expanded, app) == {(SENDER, sent), (RECEIVER, f"{read}/{settings['consumerID']}")}
    subjects = {each["name"]: each["properties"]["subject"] for each in expanded.of(FEDERATION)}
    assert subjects["bridge-orders/kubernetes"] == "system:serviceaccount:shop:orders"


FEDERATION = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"


def test_only_the_service_account_of_the_bridge_acts_as_the_bridge(expand: Expand) -> None:
    expanded = expand("param kubernetesNamespace = 'automation'\nparam serviceAccount = 'bridge'")
    assert expanded.one(FEDERATION) == {
        "issuer": "https://issuer.example.com/",
        "subject": "system:serviceaccount:automation:bridge",
        "audiences": ["api://AzureADTokenExchange"],
    }


def test_keda_may_count_what_waits_for_the_bridge_and_read_no_message(expand: Expand) -> None:
    expanded = expand("param keda = true")
    own = {source for source, _ in LISTED.sources if source.endswith("/bridge")}
    assert {entity for _, entity in on_the_bus(expanded, "keda")} == own
    (permissions,) = expanded.one("Microsoft.Authorization/roleDefinitions")["permissions"]
    assert permissions.keys() == {"actions"}
    assert all(action.endswith("/read") for action in permissions["actions"])


def test_dead_letters_of_functions_can_be_opened_to_the_bridge(expand: Expand) -> None:
    app = (
        "{ name: 'python-functions', runtime: 'python', version: '3.13', receives: ['automation-python/table-summarize'],"
        " alwaysReady: [], settings: {} }"
    )
    right = (RECEIVER, "automation-python/table-summarize")
    assert right not in on_the_bus(expand(f"param apps = [{app}]"), "bridge")
    assert right in on_the_bus(expand(f"param apps = [{app}]\nparam readDeadLetters = true"), "bridge")


def test_the_canary_may_publish_its_requests_and_read_its_replies(expand: Expand) -> None:
    page = (CHECKOUT / "docs" / "operations.md").read_text()
    (added,), (application,) = (re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL) for kind in ("json", "bicep"))
    listed = {"Queues": [{"Name": DEADLETTERS}], "Topics": json.loads(added)}
    bicep = json.dumps(listed).replace("'", "\\'")
    expanded = expand(f"param list = json('{bicep}')\nparam applications = [\n{application}]")
    assert on_the_bus(expanded, "automation-bridge-canary") == {(SENDER, "automation-canary"), (RECEIVER, "automation-replies/canary")}
    assert (RECEIVER, "automation-canary/bridge") in on_the_bus(expanded, "bridge")
