"""The component set of the chart is that of components/azure: names and app ids are the release's, and nothing else differs."""

from __future__ import annotations

import pytest
import yaml

from tests.deploy import helm
from tests.deploy.helm import NEEDED, ON_COSMOSDB, RELEASE, Json
from tests.sharedtools import CHECKOUT

COMPONENTS = CHECKOUT / "components" / "azure"
KINDS = ("Component", "Subscription", "Resiliency", "Configuration")
STORES = {"redis": NEEDED, "cosmosdb": ON_COSMOSDB}


def shipped(store: str) -> list[Json]:
    paths = [*COMPONENTS.glob("*.yaml"), COMPONENTS / store / "store.yaml"]
    return [each for path in paths for each in yaml.safe_load_all(path.read_text())]


def plain(document: Json) -> Json:
    """A document of the chart with the names that it has in components/azure."""

    def bare(name: str) -> str:
        assert name.startswith(f"{RELEASE}-"), name
        return name.removeprefix(f"{RELEASE}-")

    spec = document["spec"]
    document["metadata"] = {"name": bare(document["metadata"]["name"])}
    if "pubsubname" in spec:
        spec["pubsubname"] = bare(spec["pubsubname"])
    if document["kind"] == "Resiliency":
        spec["targets"]["components"] = {bare(name): target for name, target in spec["targets"]["components"].items()}
    for each in spec.get("secrets", {}).get("scopes", []) if document["kind"] == "Configuration" else []:
        each["storeName"] = bare(each["storeName"])
    return document


@pytest.mark.parametrize("store", STORES)
def test_the_chart_has_every_resource_of_the_set(store: str) -> None:
    rendered = helm.documents(STORES[store])
    found = {(each["kind"], each["metadata"]["name"]): each for each in map(plain, (e for e in rendered if e["kind"] in KINDS))}
    assert found == {(each["kind"], each["metadata"]["name"]): each for each in shipped(store) if each["kind"] in KINDS}


def test_each_resource_is_for_the_bridge_of_its_release_alone() -> None:
    for each in helm.documents(NEEDED, release="other"):
        if each["kind"] in ("Component", "Subscription", "Resiliency", "HTTPEndpoint"):
            assert each["scopes"] == ["other"]


def test_an_endpoint_is_like_those_of_the_set_but_for_its_address() -> None:
    wanted = next(each for each in shipped("redis") if each["metadata"]["name"] == "python-functions")
    (endpoint,) = (each for each in helm.documents(NEEDED) if each["kind"] == "HTTPEndpoint")
    assert endpoint["spec"].pop("baseUrl") == "https://bridge-python-functions-abc.azurewebsites.net"
    wanted["spec"].pop("baseUrl")
    assert endpoint["spec"] == wanted["spec"]
    assert endpoint["metadata"]["name"] == wanted["metadata"]["name"]
    assert endpoint["auth"]["secretStore"] == f"{RELEASE}-{wanted['auth']['secretStore']}"
