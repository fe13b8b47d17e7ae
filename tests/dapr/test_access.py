"""Who may call whom through sidecars: mTLS with a real sentry, and the configurations that ship."""

from __future__ import annotations

import secrets

import aiohttp
import grpc
import pytest

from tests.dapr.sidecar import API_TOKEN, COMPONENTS

#: Sidecars find each other by multicast, those of other tests too: who is called has a name of his own, who calls has the real one.
OWN = secrets.token_hex(4)
BRIDGE, CALLED_BRIDGE, FUNCTIONS, STRANGER = "automation-bridge", f"bridge-{OWN}", f"functions-{OWN}", "stranger"
OF_THE_BRIDGE = COMPONENTS / "azure" / "configuration.yaml"
OF_FUNCTIONS = COMPONENTS / "function-app" / "configuration.yaml"
FUNCTION = "api/certificate/inspect"


@pytest.fixture
def calling(mesh):
    """What lets a sidecar call others at all, over the configuration that ships."""
    return mesh.configuration("calling", api={"allowed": [{"name": "invoke", "version": "v1.0", "protocol": "http"}]})


async def test_the_bridge_calls_a_function_behind_a_sidecar(mesh, calling):
    sentry = await mesh.sentry()
    functions = await mesh.member(FUNCTIONS, sentry, OF_FUNCTIONS)
    bridge = await mesh.member(BRIDGE, sentry, OF_THE_BRIDGE, calling)
    assert await bridge.call(FUNCTIONS, FUNCTION) == (200, '{"said": "done"}')
    assert functions.app.asked == [f"POST /{FUNCTION}"]


async def test_a_stranger_with_a_certificate_is_denied(mesh):
    sentry = await mesh.sentry()
    functions = await mesh.member(FUNCTIONS, sentry, OF_FUNCTIONS)
    stranger = await mesh.member(STRANGER, sentry)
    status, said = await stranger.call(FUNCTIONS, FUNCTION)
    assert status == 403
    assert "denied access to id: spiffe://public/ns/default/stranger" in said
    assert functions.app.asked == []
    assert await counted(functions.metrics_port, "acl_global_policy_action_blocked") == 1


@pytest.mark.parametrize("path", ["admin/host/status", "runtime/webhooks/x", "api/../admin/host/status", "api%2f..%2fadmin"])
async def test_not_even_the_bridge_reaches_what_is_no_function(mesh, calling, path):
    sentry = await mesh.sentry()
    functions = await mesh.member(FUNCTIONS, sentry, OF_FUNCTIONS)
    bridge = await mesh.member(BRIDGE, sentry, OF_THE_BRIDGE, calling)
    assert (await bridge.call(FUNCTIONS, path))[0] == 403
    assert functions.app.asked == []


async def test_nobody_delivers_to_the_bridge_but_its_own_sidecar(mesh):
    sentry = await mesh.sentry()
    bridge = await mesh.member(CALLED_BRIDGE, sentry, OF_THE_BRIDGE)
    functions = await mesh.member("python-functions", sentry)
    status, said = await functions.call(CALLED_BRIDGE, "deliveries/automation-requests/bridge")
    assert status == 403
    assert "denied access to id: spiffe://public/ns/default/python-functions" in said
    assert bridge.app.asked == []


@pytest.mark.parametrize("name", ["local", "redis", "azure"])
async def test_without_certificates_nobody_delivers_to_the_bridge_either(mesh, name):
    bridge = await mesh.member(CALLED_BRIDGE, None, COMPONENTS / name / "configuration.yaml")
    stranger = await mesh.member(STRANGER, None)
    assert (await stranger.call(CALLED_BRIDGE, "deliveries/automation-requests/bridge"))[0] == 403
    assert bridge.app.asked == []


async def test_a_sidecar_without_a_certificate_is_refused_in_the_handshake(mesh):
    functions = await mesh.member(FUNCTIONS, await mesh.sentry(), OF_FUNCTIONS)
    nobody = await mesh.member(BRIDGE, None, mesh.configuration("open"))
    status, said = await nobody.call(FUNCTIONS, FUNCTION)
    assert (status, "ERR_DIRECT_INVOKE" in said) == (500, True)
    assert functions.app.asked == []


async def test_a_sidecar_with_a_certificate_of_another_sentry_is_refused_in_the_handshake(mesh):
    functions = await mesh.member(FUNCTIONS, await mesh.sentry(), OF_FUNCTIONS)
    impostor = await mesh.member(BRIDGE, await mesh.sentry("other"))
    status, said = await impostor.call(FUNCTIONS, FUNCTION)
    assert status == 500
    assert "authentication handshake failed" in said
    assert functions.app.asked == []


@pytest.mark.parametrize("method", ["InvokeService", "GetSecret", "PublishEvent", "GetState", "InvokeBinding", "Shutdown"])
async def test_the_bridges_sidecar_has_no_grpc_to_speak_of(mesh, method):
    bridge = await mesh.member(BRIDGE, None, OF_THE_BRIDGE)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bridge.grpc_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(f"/dapr.proto.runtime.v1.Dapr/{method}")(b"", metadata=[("dapr-api-token", API_TOKEN)])
    assert refused.value.details() == "Not Implemented"


async def counted(port: int, name: str) -> float:
    """The sum of a sidecar's counter."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"dapr_runtime_{name}"))
