"""The components that ship fit the adapter, the list of entities and the calls of functions, and open nothing that is not used."""

from __future__ import annotations

import ast
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from bridge import catalog, entities, events, resilience
from bridge.adapters import dapr
from bridge.adapters.dapr import SidecarConfig
from bridge.adapters.dapr.subscriptions import ROUTE
from bridge.app import CONCURRENCY
from bridge.targets.http import MARGIN
from tests.dapr.resources import APPLICATIONS, FILES, NAMESPACES, SETS, documents, read, uncommented
from tests.dapr.sidecar import COMPONENTS

ROOT = COMPONENTS.parent
ENTITIES = entities.load(COMPONENTS / "servicebus.json")
OWN = {source: its for source, its in ENTITIES.sources if source.endswith("/bridge") or source == events.DEADLETTERS}
#: The names that an API allow list knows, each the first part of a path.
APIS = {"publish", "state", "invoke", "secrets", "metadata", "healthz", "bindings", "actors", "configuration", "lock", "shutdown", "jobs"}
BUSES = ["bus.yaml", "queues.yaml"]


@pytest.mark.parametrize("name", SETS)
def test_every_source_the_bridge_reads_has_a_subscription(name):
    assert {each["spec"]["routes"]["default"] for each in documents(name, "Subscription")} == {ROUTE + source for source in OWN}


@pytest.mark.parametrize("name", SETS)
def test_each_subscription_is_raw_and_leads_to_its_own_topic(name):
    for each in documents(name, "Subscription"):
        spec = each["spec"]
        assert spec["metadata"]["rawPayload"] == "true"
        assert spec["topic"] == spec["routes"]["default"].removeprefix(ROUTE).partition("/")[0]
        assert "deadLetterTopic" not in spec
        assert "bulkSubscribe" not in spec, "one slow event would hold up those that came with it"


@pytest.mark.parametrize("name", SETS)
def test_queues_have_the_component_for_queues_where_there_is_one(name):
    connection = SidecarConfig("", 0, "")
    queues = {queue.name for queue in ENTITIES.queues} if name.startswith("azure") else set()
    for each in documents(name, "Subscription"):
        spec = each["spec"]
        assert spec["pubsubname"] == (connection.queues if spec["topic"] in queues else connection.bus)


@pytest.mark.parametrize("name", SETS)
def test_the_components_have_the_names_the_adapter_looks_for(name):
    connection = SidecarConfig("", 0, "")
    kinds = {each["metadata"]["name"]: each["spec"]["type"].partition(".")[0] for each in documents(name, "Component")}
    kinds.pop("secrets", None)
    assert kinds.pop(connection.queues, "pubsub") == "pubsub"
    assert kinds == {connection.bus: "pubsub", connection.store: "state"}


@pytest.mark.parametrize("name", SETS)
def test_what_could_not_be_taken_comes_again_without_an_end(name):
    (resiliency,) = documents(name, "Resiliency")
    policies, targets = resiliency["spec"]["policies"], resiliency["spec"]["targets"]["components"]
    for bus in targets.keys() - {"store"}:
        # A breaker or timeout there does harm of its own. Dapr ends an exponential policy after 15 minutes: only Service Bus brings
        # the event again then.
        assert list(targets[bus]["inbound"]) == ["retry"]
        retry = policies["retries"][targets[bus]["inbound"]["retry"]]
        assert retry["maxRetries"] == -1
        assert retry["policy"] == "constant" or (name.startswith("azure") and retry["maxInterval"] == "15s")
    for target in targets.values():
        assert list(target["outbound"]) == ["timeout"]
        assert target["outbound"]["timeout"] in policies["timeouts"]


@pytest.mark.parametrize("name", SETS)
def test_every_bus_and_store_has_a_policy_and_no_function_has_one(name):
    (resiliency,) = documents(name, "Resiliency")
    carrying = {each["metadata"]["name"] for each in documents(name, "Component")} - {"secrets"}
    assert list(resiliency["spec"]["targets"]) == ["components"]
    assert set(resiliency["spec"]["targets"]["components"]) == carrying


@pytest.mark.parametrize("name", [name for name in APPLICATIONS if name != "function app"])
def test_what_an_application_cannot_take_while_it_is_away_comes_again_without_an_end(name):
    (resiliency,) = documents(name, "Resiliency")
    policies, targets = resiliency["spec"]["policies"], resiliency["spec"]["targets"]["components"]
    assert set(targets) == {each["metadata"]["name"] for each in documents(name, "Component")}
    for target in targets.values():
        assert list(target) == ["inbound"]
        assert list(target["inbound"]) == ["retry"], "a timeout would start the work a second time"
        retry = policies["retries"][target["inbound"]["retry"]]
        assert (retry["policy"], retry["duration"], retry["maxRetries"]) == ("constant", "1s", -1)


@pytest.mark.parametrize("name", [name for name in {**SETS, **APPLICATIONS} if name != "function app"])
def test_every_subscription_is_of_a_bus_with_an_inbound_policy(name):
    (resiliency,) = documents(name, "Resiliency")
    kept = {bus for bus, each in resiliency["spec"]["targets"]["components"].items() if "inbound" in each}
    assert {each["spec"]["pubsubname"] for each in documents(name, "Subscription")} <= kept


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_no_two_resources_of_one_namespace_have_kind_and_name_in_common(namespace):
    names = Counter((each["kind"], each["metadata"]["name"]) for name in NAMESPACES[namespace] for each in documents(name))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("name", [name for name in APPLICATIONS if name != "function app"])
def test_whoever_writes_another_app_id_gives_every_resource_another_name(name):
    (app,) = {app for each in documents(name) for app in each["scopes"]}
    for each in documents(name):
        assert each["metadata"]["name"].partition("-")[0] == app


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "configuration.yaml"], ids=str)
def test_tracing_is_not_switched_off(path):
    for document in read(path):
        assert float(document["spec"]["tracing"]["samplingRate"]) > 0


@pytest.mark.parametrize(
    "path", [path for path in FILES if "type: pubsub.redis" in path.read_text() or "redis/store.yaml" in str(path)], ids=str
)
def test_every_redis_can_have_a_password_and_tls(path):
    (component,) = uncommented(path)
    values = {each["name"]: each for each in component["spec"]["metadata"]}
    assert values["enableTLS"]["value"] == "true"
    assert "envRef" in values.get("redisPassword", {}) or values["useEntraID"]["value"] == "true"


def test_what_the_broker_may_give_up_is_never_the_bridges_own():
    assert {its.max_delivery_count for its in OWN.values()} == {2**31 - 1}


@pytest.mark.parametrize("name", SETS)
def test_only_the_bridge_may_use_them(name):
    for kind in ("Component", "Subscription", "Resiliency", "HTTPEndpoint"):
        assert all(each["scopes"] == ["automation-bridge"] for each in documents(name, kind))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_belongs_to_a_set(path):
    others = {"function-app", "requester", "requester/redis", "requester/azure", "worker/redis", "worker/azure"}
    assert str(path.parent.relative_to(COMPONENTS)) in {folder for folders in SETS.values() for folder in folders} | others


@pytest.mark.parametrize("bus", ["redis", "azure"])
def test_an_application_that_asks_may_ask_and_read_replies_and_nothing_else(bus):
    (component,) = read(COMPONENTS / "requester" / bus / "bus.yaml")
    values = {each["name"]: each.get("value") for each in component["spec"]["metadata"]}
    (app,) = component["scopes"]
    assert (values["publishingScopes"], values["subscriptionScopes"]) == (f"{app}={events.REQUESTS}", f"{app}=automation-replies")


@pytest.mark.parametrize(("bus", "more"), [("redis", ",automation-deadletters"), ("azure", "")])
def test_an_application_that_works_may_publish_results_and_read_its_work_and_nothing_else(bus, more):
    (component,) = read(COMPONENTS / "worker" / bus / "bus.yaml")
    values = {each["name"]: each.get("value") for each in component["spec"]["metadata"]}
    (app,) = component["scopes"]
    assert (values["publishingScopes"], values["subscriptionScopes"]) == (f"{app}={events.RESULTS}{more}", f"{app}=work")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_file_holds_a_secret(path):
    for document in read(path):
        spec = document["spec"]
        named = [*(spec.get("metadata", []) if document["kind"] == "Component" else []), *spec.get("headers", [])]
        for each in named:
            if any(word in each["name"].lower() for word in ("password", "secret", "connectionstring", "masterkey", "-key")):
                assert each.keys() & {"envRef", "secretKeyRef"}, f"{each['name']} stands there as it is"


@pytest.mark.parametrize("name", [name for name in SETS if name not in ("local", "redis")])
def test_every_function_app_of_the_catalogue_has_an_endpoint_with_its_key(name):
    apps = {
        target.http.app
        for automation in catalog.load(ROOT / "functions" / "automations.yaml")
        for target in automation.targets
        if target.http
    }
    endpoints = {each["metadata"]["name"]: each for each in documents(name, "HTTPEndpoint")}
    assert apps | {"powershell-functions"} == set(endpoints)
    stores = {each["metadata"]["name"] for each in documents(name, "Component")}
    for each in endpoints.values():
        (header,) = each["spec"]["headers"]
        assert header["name"] == "x-functions-key"
        assert each["auth"]["secretStore"] in stores


@pytest.mark.parametrize("name", SETS)
def test_the_sidecar_allows_what_the_bridge_uses_and_nothing_else(name):
    (configuration,) = documents(name, "Configuration")
    allowed = configuration["spec"]["api"]["allowed"]
    assert {each["name"] for each in allowed if each["protocol"] == "http"} == used()
    assert {each["version"] for each in allowed if each["protocol"] == "http"} == {"v1.0"}
    # Without any rule of its own gRPC would be open as a whole.
    assert [each["name"] for each in allowed if each["protocol"] == "grpc"] == ["metadata"]


def used() -> set[str]:
    """The APIs whose paths stand in the adapter."""
    texts = {
        node.value
        for path in Path(dapr.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value
    }
    return {text.partition("/")[0] for text in texts if "/" in text or text == "metadata"} & APIS


@pytest.mark.parametrize("name", SETS)
def test_nobody_calls_the_bridge_through_sidecars(name):
    (configuration,) = documents(name, "Configuration")
    assert configuration["spec"]["accessControl"] == {"defaultAction": "deny", "trustDomain": "public"}


@pytest.mark.parametrize("name", SETS)
def test_metrics_have_no_time_series_for_each_path(name):
    (configuration,) = documents(name, "Configuration")
    assert configuration["spec"]["metrics"] == {"enabled": True, "http": {"increasedCardinality": False}}


def azure(file: str) -> dict[str, str]:
    """The values of a component for Azure."""
    (component,) = read(COMPONENTS / "azure" / file)
    return {each["name"]: each.get("value", "") for each in component["spec"]["metadata"]}


@pytest.mark.parametrize("file", BUSES)
def test_a_lock_is_renewed_twice_before_it_ends(file):
    assert {its.lock_duration for its in OWN.values()} == {timedelta(minutes=1)}
    assert int(azure(file)["lockRenewalInSec"]) * 3 <= 60
    assert int(azure(file)["timeoutInSec"]) < 60


@pytest.mark.parametrize("file", BUSES)
def test_nothing_is_fetched_that_must_wait_for_a_handler(file):
    assert azure(file)["maxActiveMessages"] == azure(file)["maxConcurrentHandlers"]
    assert int(azure(file)["maxConcurrentHandlers"]) <= CONCURRENCY


def test_a_handler_may_take_longer_than_any_call_of_a_function():
    policies = yaml.safe_load((ROOT / "functions" / "resiliency.yaml").read_text())["spec"]["policies"]
    calls = [int(each.removesuffix("s")) for each in policies["timeouts"].values()]
    assert int(azure("bus.yaml")["handlerTimeoutInSec"]) > max([*calls, 230])


def test_the_shortest_deadline_has_room_for_a_second_call_after_one_whose_outcome_is_lost():
    policies = resilience.load(ROOT / "functions" / "resiliency.yaml")
    noticed = timedelta(seconds=5)  # until a delivery that was broken off is brought again
    for automation in catalog.load(ROOT / "functions" / "automations.yaml"):
        for target in automation.targets:
            if target.http:
                lost_after = policies.for_app(target.http.app).timeout + MARGIN + noticed
                assert automation.deadline - lost_after >= policies.for_app(target.http.app).timeout, automation.name


def test_on_azure_the_identity_of_the_pod_opens_everything():
    components = [each for name in SETS if name.startswith("azure") for each in documents(name, "Component")]
    for each in components:
        values = {value["name"]: value.get("value") for value in each["spec"]["metadata"]}
        assert values["azureAuthMethods"] == "workloadIdentity", each["metadata"]["name"]
        assert not values.keys() & {"connectionString", "masterKey", "redisPassword", "azureClientSecret"}
