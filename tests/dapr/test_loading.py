"""Every file that ships is taken by the real sidecar; what needs Azure is loaded as far as its client's first connection."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.dapr.machine import Machine
from tests.dapr.resources import SETS, documents, folders
from tests.dapr.sidecar import API_TOKEN, COMPONENTS, Sidecar, free_ports, redis, sidecar
from tests.dapr.streams import streams

_PATIENCE = 30  #: seconds until the sidecar must have said what is waited for
#: What daprd says of something in a file that it does not understand; it goes on without it.
NOT_UNDERSTOOD = (
    "could not read",
    "error parsing",
    "failed to",
    "couldn't find",
    "unknown",
    "invalid",
    "decode",
    "fatal",
    "missing",
    "required",
)
#: What it says where nobody answers, or the pod has no identity.
NO_CONNECTION = ("connection refused", "no suitable token provider for Azure AD; errors: no client ID specified")


def merged(name: str, directory: Path) -> Path:
    """All resources of a set in one folder."""
    made = directory / "resources"
    made.mkdir()
    for folder in folders(name):
        for path in folder.glob("*.yaml"):
            shutil.copy(path, made)
    return made


@asynccontextmanager
async def environment(name: str, directory: Path) -> AsyncIterator[dict[str, str]]:
    """What the files of a set for this machine read from the environment."""
    keys = {"FUNCTIONS_PYTHON_KEY": "python-key", "FUNCTIONS_POWERSHELL_KEY": "powershell-key"}
    if name.startswith("local"):
        yield {**keys, "BRIDGE_STATE_FILE": str(directory / "state.db")}
    else:
        async with redis(directory) as storing:
            yield {**keys, "REDIS_HOST": f"127.0.0.1:{storing.port}"}


def identity(directory: Path) -> dict[str, str]:
    """What a pod with workload identity has, on a machine from which Azure cannot be reached."""
    token, nobody = directory / "token", f"127.0.0.1:{free_ports(1)[0]}"
    token.write_text("token")
    return {
        "AZURE_CLIENT_ID": "client",
        "AZURE_TENANT_ID": "tenant",
        "AZURE_FEDERATED_TOKEN_FILE": str(token),
        "AZURE_AUTHORITY_HOST": f"https://{nobody}/",
        "HTTPS_PROXY": f"http://{nobody}",
        "NO_PROXY": "",
        "no_proxy": "",
        "SERVICEBUS_NAMESPACE": nobody,
        "REDIS_HOST": nobody,
        "COSMOSDB_URL": f"https://{nobody}/",
        "KEYVAULT_NAME": "vault",
    }


async def told(beside: Sidecar, *texts: str) -> str:
    """The sidecar's log once it has all the texts."""
    log = ""
    try:
        async with asyncio.timeout(_PATIENCE):
            while not all(text in (log := beside.program.log.read_text()) for text in texts):
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"the sidecar never said all of {texts}: {log[-5000:]}")
    trouble = [line for line in messages(log) if any(words in line.lower() for words in NOT_UNDERSTOOD)]
    assert not trouble
    return log


def messages(log: str) -> list[str]:
    """What the sidecar has said, but for failed connections."""
    said = [line.partition("msg=")[2].rpartition(" app_id=")[0] for line in log.splitlines()]
    return [each for each in said if not any(words in each for words in NO_CONNECTION)]


@pytest.mark.parametrize("name", [name for name in SETS if not name.startswith("azure")])
async def test_a_set_for_this_machine_is_loaded_as_a_whole(name, tmp_path):
    async with environment(name, tmp_path) as environ, sidecar(tmp_path, merged(name, tmp_path), environ) as beside:
        await told(beside, "application protocol: grpc. waiting on port")
        loaded = await metadata(beside)
    assert {each["name"] for each in loaded["components"]} == names(name, "Component")
    assert {each["name"] for each in loaded.get("httpEndpoints", [])} == names(name, "HTTPEndpoint")
    assert {each["topic"] for each in loaded["subscriptions"]} == {each["spec"]["topic"] for each in documents(name, "Subscription")}
    assert {each["name"] for each in loaded["resiliencies"]} == names(name, "Resiliency")


def names(name: str, kind: str) -> set[str]:
    return {each["metadata"]["name"] for each in documents(name, kind)}


async def metadata(beside: Sidecar) -> dict:
    headers = {"dapr-api-token": API_TOKEN}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{beside.connection.address}/v1.0/metadata") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_the_files_for_azure_are_loaded_as_far_as_the_first_connection_to_the_vault(tmp_path):
    resources = merged("azure with Redis", tmp_path)
    (resources / "store.yaml").unlink()
    async with sidecar(tmp_path, resources, identity(tmp_path)) as beside:
        log = await told(
            beside,
            "Component loaded: secrets (secretstores.azure.keyvault/v1)",
            "Component loaded: bus (pubsub.azure.servicebus.topics/v1)",
            "Component loaded: queues (pubsub.azure.servicebus.queues/v1)",
            "Found http endpoint: python-functions",
            "Found http endpoint: powershell-functions",
            "Loading Resiliency configuration: bridge",
            "vault.vault.azure.net/secrets/python-functions-key",
        )
    assert "connection refused" in next(line for line in log.splitlines() if "Error getting secret" in line)


@pytest.mark.parametrize(("app", "name"), [("orders", "requester on azure"), ("worker", "worker on azure")])
async def test_the_files_of_an_application_on_azure_are_loaded_as_far_as_the_first_connection(app, name, tmp_path):
    resources, configuration = merged(name, tmp_path), COMPONENTS / "function-app" / "configuration.yaml"
    async with sidecar(tmp_path, resources, identity(tmp_path), configuration=configuration, app_id=app) as beside:
        policy = f"Loading Resiliency configuration: {app}"
        await told(beside, f"Component loaded: {app}-bus (pubsub.azure.servicebus.topics/v1)", policy, "waiting on port")


@pytest.mark.parametrize(
    ("name", "component"),
    [("azure with Redis", "state.redis"), ("azure with Cosmos DB", "state.azure.cosmosdb")],
)
async def test_a_store_on_azure_is_loaded_as_far_as_the_identity_of_the_pod(name, component, tmp_path, monkeypatch):
    environ = identity(tmp_path)
    monkeypatch.delenv("AZURE_CLIENT_ID", raising=False)
    del environ["AZURE_CLIENT_ID"]
    resources = tmp_path / "resources"
    resources.mkdir()
    shutil.copy(folders(name)[1] / "store.yaml", resources)
    configuration = folders(name)[0] / "configuration.yaml"
    async with sidecar(tmp_path, resources, environ, configuration=configuration) as beside:
        log = await told(beside, f"Failed to init component store ({component}/v1)")
    (line,) = [line for line in log.splitlines() if "Failed to init component" in line]
    assert NO_CONNECTION[1] in line


async def test_what_ships_for_other_applications_takes_nothing_from_a_running_sidecar_of_the_bridge(machine: Machine) -> None:
    await machine.redis()
    beside = await machine.sidecar()
    await told(beside, "Starting to watch Component updates")
    for name in ("requester on redis", "worker on redis", "function app"):
        for folder in folders(name):
            for path in folder.glob("*.yaml"):
                shutil.copy(path, machine.components / f"{name.replace(' ', '-')}-{path.name}")
    await asyncio.sleep(3)  # with resources of the same name the bus was gone by then
    loaded = await metadata(beside)
    assert {each["name"] for each in loaded["components"]} == names("redis", "Component")
    assert {each["name"] for each in loaded["resiliencies"]} == names("redis", "Resiliency")
    async with streams(machine.redis_port, machine.port) as bus:
        await bus.send("automation-requests", b"event")
