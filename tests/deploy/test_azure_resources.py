"""What is made on Azure fits what components and functions read, and has no keys and no old TLS."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge import settings
from tests.deploy import bicep
from tests.deploy.bicep import Bicep, Json, Refused
from tests.deploy.conftest import Expand
from tests.deploy.deployment import Deployment
from tests.sharedtools import CHECKOUT

AZURE = CHECKOUT / "components" / "azure"
#: Settings of the laptop that on Azure are the app's runtime, and an identity instead of a connection string.
LOCAL = {"FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_WORKER_RUNTIME_VERSION", "AzureWebJobsStorage", "ServiceBusConnection"}
#: Flex Consumption takes these from the app's own configuration and does not start with them.
NOT_ON_FLEX = re.compile("FUNCTIONS_WORKER_RUNTIME|FUNCTIONS_EXTENSION_VERSION|WEBSITE_RUN_FROM_PACKAGE|WEBSITE_CONTENT|SCM_DO_BUILD")
FILES = [bicep.AZURE / "main.bicep", bicep.AZURE / "main.bicepparam", *bicep.AZURE.glob("modules/*.bicep")]
FOLDERS = [folder for folder in sorted((CHECKOUT / "functions").iterdir()) if (folder / "local.settings.json").exists()]


def component(*parts: str) -> dict[str, Any]:
    spec = yaml.safe_load(AZURE.joinpath(*parts).read_text())["spec"]
    return {each["name"]: each.get("value", each.get("envRef")) for each in spec["metadata"]}


def code_of(folder: Path) -> str:
    return "\n".join(each.read_text() for each in sorted(folder.rglob("*")) if each.suffix in {".py", ".json", ".ps1"})


def test_the_compiler_has_nothing_to_say_of_the_template_and_its_modules() -> None:
    done = bicep.run("lint", "main.bicep", "--diagnostics-format", "sarif")
    assert [result for run in json.loads(done.stdout)["runs"] for result in run["results"]] == []
    assert done.returncode == 0, done.stderr


def test_every_module_is_used_by_the_template() -> None:
    named = {name for file in FILES for name in re.findall(r"'(?:modules/)?(\w+\.bicep)'", file.read_text())}
    assert named == {file.name for file in FILES if file.suffix == ".bicep"}


def test_every_file_is_formatted(compiler: Bicep) -> None:
    assert [file.name for file in FILES if compiler.formatted(file).strip() != file.read_text().strip()] == []


def test_entities_are_made_after_those_that_they_forward_to() -> None:
    template = json.loads(bicep.run("build", "modules/servicebus.bicep", "--stdout").stdout)["resources"]
    assert {"queue_", "topic_"} <= set(template["subscription_"]["dependsOn"])
    assert "topic_" in template["queue_"]["dependsOn"]
    assert template["queue_"]["copy"]["batchSize"] == template["rule_"]["copy"]["batchSize"] == 1


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_app_finds_every_setting_that_its_code_reads(folder: Path, shipped: Deployment) -> None:
    made = shipped.settings(f"{folder.name}-functions")
    local = json.loads((folder / "local.settings.json").read_text())["Values"]
    assert {name: made.get(name) for name in local.keys() - LOCAL} == {name: local[name] for name in local.keys() - LOCAL}
    assert set(re.findall(r"[\"']%(\w+)%[\"']", code_of(folder))) <= made.keys()
    for connection in {"AzureWebJobsStorage", *re.findall(r"\bconnection[\"']?\s*[:=]\s*[\"'](\w+)", code_of(folder))}:
        assert made[f"{connection}__credential"] == "managedidentity"
        assert f"bridge-{folder.name}-functions'" in made[f"{connection}__clientId"]
    assert made["ServiceBusConnection__fullyQualifiedNamespace"] == f"{shipped.namespace}.servicebus.windows.net"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_functions_behind_a_topic_are_always_ready(folder: Path, shipped: Deployment) -> None:
    (app,) = (each for each in shipped.of("Microsoft.Web/sites") if f"-{folder.name}-functions-" in each["name"])
    ready = app["properties"]["functionAppConfig"]["scaleAndConcurrency"]["alwaysReady"]
    behind = re.findall(r"service_bus_\w+_trigger\((?:.|\n)*?\ndef (\w+)", code_of(folder))
    behind += [each.parent.name for each in folder.rglob("function.json") if "serviceBusTrigger" in each.read_text()]
    assert sorted(each["name"] for each in ready) == sorted(f"function:{name}" for name in behind)


def test_no_app_has_a_setting_that_flex_consumption_refuses_or_a_secret(shipped: Deployment) -> None:
    for each in shipped.of("Microsoft.Web/sites/config"):
        assert [name for name in each["properties"] if NOT_ON_FLEX.match(name)] == []
        assert "listKeys" not in json.dumps(each["properties"])


def test_the_apps_and_their_keys_are_those_of_the_endpoints(shipped: Deployment) -> None:
    endpoints = list(yaml.safe_load_all((AZURE / "endpoints.yaml").read_text()))
    text = (bicep.AZURE / "main.bicepparam").read_text()
    assert set(re.findall(r"name: '([\w-]+)'", text)) == {each["metadata"]["name"] for each in endpoints}
    assert len(shipped.of("Microsoft.Web/sites")) == len(shipped.of("Microsoft.Web/serverfarms")) == len(endpoints)
    assert shipped.of("Microsoft.KeyVault/vaults/secrets") == []


def test_keys_reach_the_vault_only_when_asked_for(expand: Expand) -> None:
    endpoints = list(yaml.safe_load_all((AZURE / "endpoints.yaml").read_text()))
    apps = "\n".join(
        f"{{ name: '{each['metadata']['name']}', runtime: 'python', version: '3.13', receives: [], alwaysReady: [], settings: {{}} }}"
        for each in endpoints
    )
    expanded = expand(f"param copyFunctionKeys = true\nparam apps = [\n{apps}\n]")
    secrets = {each["name"].partition("/")[2]: each["properties"]["value"] for each in expanded.of("Microsoft.KeyVault/vaults/secrets")}
    assert secrets.keys() == {each["spec"]["headers"][0]["secretKeyRef"]["name"] for each in endpoints}
    assert all("listKeys(" in value and "/host/default" in value for value in secrets.values())
    assert "listKeys" not in json.dumps(expanded.outputs)


@pytest.mark.parametrize("store", ["redis", "cosmosdb"])
def test_the_outputs_name_every_variable_of_the_components(store: str, expand: Expand) -> None:
    files = [*AZURE.glob("*.yaml"), AZURE / store / "store.yaml"]
    wanted = {name for file in files for name in re.findall(r"envRef: (\w+)", file.read_text())}
    given = set(re.findall(r"'([A-Z_]+)'", expand(f"param store = '{store}'").outputs["sidecarEnvironment"]))
    assert given == wanted


def test_redis_keeps_what_it_was_given(expand: Expand) -> None:
    expanded = expand("param store = 'redis'")
    kind = "Microsoft.Cache/redisEnterprise"
    assert expanded.of("Microsoft.DocumentDB/databaseAccounts") == []
    assert expanded.one(kind)["highAvailability"] == "Enabled"
    database = expanded.one(f"{kind}/databases")
    assert database["evictionPolicy"] == "NoEviction"
    assert database["persistence"]["aofEnabled"] is True
    assert database["clusteringPolicy"] == "EnterpriseCluster"
    assert (database["clientProtocol"], component("redis", "store.yaml")["enableTLS"]) == ("Encrypted", "true")
    assert database["accessKeysAuthentication"] == "Disabled"
    assert "bridge-bridge'" in expanded.one(f"{kind}/databases/accessPolicyAssignments")["user"]["objectId"]


def test_cosmos_db_is_what_the_component_asks_for(expand: Expand) -> None:
    expanded = expand("param store = 'cosmosdb'")
    kind, wanted = "Microsoft.DocumentDB/databaseAccounts", component("cosmosdb", "store.yaml")
    account, container = expanded.one(kind), expanded.one(f"{kind}/sqlDatabases/containers")["resource"]
    assert expanded.of("Microsoft.Cache/redisEnterprise") == []
    assert (account["consistencyPolicy"], account["enableMultipleWriteLocations"]) == ({"defaultConsistencyLevel": "Strong"}, False)
    assert account["disableLocalAuth"] is True
    assert (expanded.one(f"{kind}/sqlDatabases")["resource"]["id"], container["id"]) == (wanted["database"], wanted["collection"])
    assert (container["partitionKey"]["paths"], container["defaultTtl"]) == (["/partitionKey"], -1)
    right = expanded.one(f"{kind}/sqlRoleAssignments")
    assert right["scope"].endswith(f"/dbs/{wanted['database']}/colls/{wanted['collection']}")
    assert "bridge-bridge'" in right["principalId"]


@pytest.mark.parametrize(
    ("sku", "store", "carried", "most_input", "most_output"),
    [
        ("Standard", "redis", 256 * 1024, 200_000, 1_000_000),
        ("Standard", "cosmosdb", 256 * 1024, 200_000, 500_000),
        ("Premium", "redis", 2**20, 2**20 - 100_000, 1_000_000),
        ("Premium", "cosmosdb", 2**20, 500_000, 500_000),
    ],
)
def test_the_bridge_refuses_what_bus_or_store_cannot_carry(
    sku: str, store: str, carried: int, most_input: int, most_output: int, expand: Expand, tmp_path: Path
) -> None:
    expanded = expand(f"param serviceBusSku = '{sku}'\nparam store = '{store}'")
    read = settings.load({}, expanded.outputs["bridgeEnvironment"], tmp_path)
    assert read.max_event_bytes is not None
    assert carried - 50_000 < read.max_event_bytes < carried - 5_000  # its properties count as well
    assert read.max_input_bytes <= min(most_input, read.max_event_bytes)
    assert read.max_output_bytes <= most_output
    assert expanded.of("Microsoft.ServiceBus/namespaces")[0]["sku"]["name"] == sku


def test_a_name_that_storage_or_vault_would_refuse_is_refused(compiler: Bicep, expand: Expand, tmp_path: Path) -> None:
    expand("")
    file = tmp_path / "main.bicepparam"
    right = file.read_text()
    for name in ("my-bridge", "Bridge", "1bridge"):
        file.write_text(right.replace("param name = 'bridge'", f"param name = '{name}'"))
        with pytest.raises(Refused, match=f'name: "{name}" has other characters'):
            compiler.expand(file)


def hardened(deployment: Deployment) -> dict[str, Json]:
    return {each["type"]: each["properties"] for each in deployment.resources if each.get("properties")}


def test_nothing_is_reached_with_a_key_a_password_or_old_tls(shipped: Deployment) -> None:
    made = hardened(shipped)
    assert made["Microsoft.ServiceBus/namespaces"] == {"disableLocalAuth": True, "minimumTlsVersion": "1.2"}
    assert made["Microsoft.KeyVault/vaults"]["enableRbacAuthorization"] is True
    assert made["Microsoft.KeyVault/vaults"]["enablePurgeProtection"] is True
    storage = made["Microsoft.Storage/storageAccounts"]
    assert (storage["allowSharedKeyAccess"], storage["allowBlobPublicAccess"], storage["minimumTlsVersion"]) == (False, False, "TLS1_2")
    assert made["Microsoft.Web/sites"]["httpsOnly"] is True
    assert made["Microsoft.Insights/components"]["DisableLocalAuth"] is True
    policies = shipped.of("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {each["properties"]["allow"] for each in policies} == {False}
    assert not [each for each in shipped.resources if "authorizationRules" in each["type"]]


def test_an_alert_fires_for_work_that_was_given_up_and_for_a_bus_in_trouble(shipped: Deployment) -> None:
    criteria = [each["properties"]["criteria"]["allOf"][0] for each in shipped.of("Microsoft.Insights/metricAlerts")]
    watched = {(each["metricName"], *each["dimensions"][0]["values"]) for each in criteria}
    assert watched == {
        ("ActiveMessages", "automation-deadletters"),
        ("DeadletteredMessages", "*"),
        ("ThrottledRequests", "*"),
        ("ServerErrors", "*"),
    }
    (people,) = shipped.of("Microsoft.Insights/actionGroups")
    assert people["properties"]["emailReceivers"][0]["emailAddress"] == "operations@example.com"
    assert len(people["properties"]["groupShortName"]) <= 12


def test_azure_monitor_has_the_rules_of_prometheus_where_it_has_the_metrics(shipped: Deployment, expand: Expand) -> None:
    kind, workspace = (
        "Microsoft.AlertsManagement/prometheusRuleGroups",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Monitor/accounts/m",
    )
    assert shipped.of(kind) == []
    made = {
        each["name"]: each["properties"] for each in expand(f"param metricsWorkspaceId = '{workspace}'\nparam clusterName = 'aks'").of(kind)
    }
    groups = yaml.safe_load((CHECKOUT / "deploy" / "alerts" / "prometheus.yaml").read_text())["groups"]
    assert made.keys() == {f"bridge-{group['name']}" for group in groups}
    for group in groups:
        found = made[f"bridge-{group['name']}"]
        assert (found["scopes"], found["clusterName"]) == ([workspace], "aks")
        assert [rule["expression"] for rule in found["rules"]] == [rule["expr"] for rule in group["rules"]]
        assert [rule.get("alert") or rule["record"] for rule in found["rules"]] == [
            rule.get("alert") or rule["record"] for rule in group["rules"]
        ]
        for rule, listed in zip(found["rules"], group["rules"], strict=True):
            if "alert" in listed:
                assert rule["for"] == f"PT{listed.get('for', '0m').upper()}"
                assert rule["severity"] == {"critical": 1, "warning": 2, "info": 4}[listed["labels"]["severity"]]
                assert rule["annotations"] == listed["annotations"]
                assert "actionGroups" in rule["actions"][0]["actionGroupId"]
