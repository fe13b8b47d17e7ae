from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import validate
from pydantic_core import from_json, to_json
from starlette.types import Message as Asgi

from bridge import api, errors
from bridge.api import openapi
from bridge.client import RunView
from bridge.errors import Conflict, Unavailable
from bridge.ports import Message
from bridge.run import AttemptOutcome, Status
from bridge.settings import Settings
from tests.pipeline_kit import World, world

DOCUMENT = openapi.describe(Settings())


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def test_the_description_is_valid_openapi() -> None:
    validate(DOCUMENT)


async def test_every_route_is_described_and_nothing_else(tmp_path) -> None:
    routes = api.routes((await world(tmp_path)).bridge.services)
    assert {(route.path, method) for route in routes for method in (route.methods or set()) - {"HEAD"}} == {
        (path, method) for path, method, _ in operations()
    }


@pytest.mark.parametrize(("path", "method", "operation"), list(operations()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_parameter_of_a_path_is_declared(path: str, method: str, operation: Any) -> None:
    parameters = DOCUMENT["components"]["parameters"]
    declared = {parameters[each["$ref"].rpartition("/")[2]]["name"] for each in operation.get("parameters", [])}
    assert {part[1:-1] for part in path.split("/") if part.startswith("{")} <= declared


def test_every_problem_of_a_refusal_is_described() -> None:
    def below(kind: type[errors.BridgeError]) -> Iterator[type[errors.BridgeError]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    described = {
        (int(name.removeprefix("Problem")), code)
        for name, answer in DOCUMENT["components"]["responses"].items()
        for code in answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
    }
    assert {(each.status, each.code) for each in below(errors.Refusal) if each is not errors.Refusal} <= described


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["Run", "Event", "Result"])
def test_examples_fit_their_schemas(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    validator = jsonschema_rs.Draft202012Validator({**DOCUMENT, "$ref": f"#/components/schemas/{name}"})
    assert all(validator.is_valid(example) for example in schema["examples"])


def test_a_schema_of_an_answer_says_what_its_type_says() -> None:
    run = DOCUMENT["components"]["schemas"]["Run"]
    assert set(run["properties"]) == set(RunView.__annotations__)
    assert set(run["required"]) == {"correlationId", "automation", "status", "createdAt", "updatedAt", "deadline", "invocations"}
    assert run["properties"]["deadline"] == {"type": "string", "format": "date-time"}
    assert DOCUMENT["components"]["schemas"]["Status"]["enum"] == [str(status) for status in Status]
    assert DOCUMENT["components"]["schemas"]["Attempt"]["properties"]["outcome"]["enum"] == [str(each) for each in AttemptOutcome]


def test_limits_are_those_of_the_settings() -> None:
    assert "4,321 bytes" in json.dumps(openapi.describe(Settings(max_input_bytes=4_321)))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from references(part)


def resolved(node: Any) -> Any:
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_every_reference_leads_somewhere() -> None:
    assert all(resolved({"$ref": each}) for each in set(references(DOCUMENT)))


def test_the_same_settings_give_the_same_bytes() -> None:
    assert json.dumps(openapi.describe(Settings())) == json.dumps(DOCUMENT)


# What the API answers is what the description says of it.

JSON = {"content-type": "application/json"}
EVENT = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
BINARY = {**JSON, "ce-specversion": "1.0", "ce-id": "e", "ce-source": "/t", "ce-type": "automation.requested", "ce-subject": "one"}
EDITED = {"specversion": "1.0", "id": "e-9", "source": "/t", "type": "automation.requested", "subject": "one", "data": {}}
ASK, RUN, WORK = "/v1/automations/one/requests", "/v1/requests/ended", "/v1/invocations/open/worker"


async def answer(of: World, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """One request to the API in this process."""
    app = api.create(of.bridge.services, frozenset({"localhost"}))
    target, _, query = path.partition("?")
    lines = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    scope = {"type": "http", "method": method, "path": target, "query_string": query.encode(), "headers": lines, "root_path": ""}
    sent: list[Asgi] = []

    rest = iter([body])

    async def receive() -> Asgi:
        if (part := next(rest, None)) is not None:
            return {"type": "http.request", "body": part}
        return await asyncio.Future()  # a client that stays: a stream ends by itself

    async def send(message: Asgi) -> None:
        sent.append(message)

    await app(scope, receive, send)
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], names, b"".join(each.get("body", b"") for each in sent[1:])


def check(path: str, method: str, status: int, headers: dict[str, str], body: bytes) -> None:
    described = resolved(DOCUMENT["paths"][path][method.lower()]["responses"][str(status)])
    special = {
        "location",
        "retry-after",
        "www-authenticate",
        "allow",
        "accept-encoding",
        "webhook-allowed-origin",
        "webhook-allowed-rate",
    } & set(headers)
    assert special <= {name.lower() for name in described.get("headers", {})}
    if not body:
        return
    media_type = headers["content-type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    if media_type.endswith("json"):
        jsonschema_rs.Draft202012Validator({**schema, "components": closed(DOCUMENT["components"])}).validate(from_json(body))


def closed(node: Any) -> Any:
    """The schemas with objects that may have no other keys than the described ones."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    strict = {"additionalProperties": False} if node.get("type") == "object" and "properties" in node else {}
    return {**strict, **{key: closed(each) for key, each in node.items()}}


@pytest.fixture
async def prepared(tmp_path: Path) -> World:
    """A bridge with a run that succeeded, one that is open with some progress, one of two targets that failed, and a dead letter."""
    made = await world(tmp_path)
    await made.ask("one", {}, "ended")
    made.functions.answers["/api/left"] = []
    await made.ask("two", {}, "failed")
    await made.ask("work", {}, "open")
    await made.bus.publish([Message("automation-requests", b"\xff")])
    await made.bus.deliver()
    await made.pass_time(2)
    doors, token = made.bridge.services.bridge, await work_token(made)
    await doors.report("open/worker", token["x-invocation-token"], {"status": "running", "progress": {"message": "half"}})
    await made.bus.deliver()
    return made


async def work_token(of: World) -> dict[str, str]:
    part = (await of.run("open")).invocation("worker")
    assert part is not None
    return {"x-invocation-token": part.control.token}


@pytest.mark.parametrize(
    ("described", "method", "path", "status", "body", "headers"),
    [
        ("/v1/automations/{name}/requests", "POST", ASK, 202, b"{}", JSON),
        ("/v1/automations/{name}/requests", "POST", ASK, 200, b"{}", {**JSON, "x-correlation-id": "ended"}),
        ("/v1/automations/{name}/requests", "POST", ASK, 409, b"1", {**JSON, "x-correlation-id": "ended"}),
        ("/v1/automations/{name}/requests", "POST", ASK, 400, b"{", JSON),
        ("/v1/automations/{name}/requests", "POST", ASK, 400, b"{}", {**JSON, "x-correlation-id": ""}),
        ("/v1/automations/{name}/requests", "POST", ASK, 400, b"{}", {**JSON, "x-deadline": ""}),
        ("/v1/automations/{name}/requests", "POST", ASK, 415, b"{}", {}),
        ("/v1/automations/{name}/requests", "POST", ASK, 415, b"{}", {**JSON, "content-encoding": "gzip"}),
        ("/v1/automations/{name}/requests", "POST", ASK, 400, b'{"a": 1, "a": 2}', JSON),
        ("/v1/automations/{name}/requests", "POST", ASK, 422, b"{}", {**JSON, "x-deadline": "2020-01-01T00:00:00Z"}),
        ("/v1/automations/{name}/requests", "POST", ASK, 421, b"{}", {**JSON, "host": "evil.example"}),
        ("/v1/automations/{name}/requests", "POST", ASK, 431, b"{}", {**JSON, "x": "y" * 40_000}),
        ("/v1/automations/{name}/requests", "POST", "/v1/automations/no/requests", 404, b"{}", JSON),
        ("/v1/events", "POST", "/v1/events", 202, b"{}", BINARY),
        ("/v1/events", "POST", "/v1/events", 202, b'[{"id": 5}]', BATCH),
        ("/v1/events", "POST", "/v1/events", 400, b"{}", EVENT),
        ("/v1/events", "OPTIONS", "/v1/events", 200, b"", {"webhook-request-origin": "eventgrid.azure.net"}),
        ("/v1/events", "OPTIONS", "/v1/events", 400, b"", {"webhook-request-origin": "a b"}),
        ("/v1/requests", "GET", "/v1/requests", 200, b"", {}),
        ("/v1/requests", "GET", "/v1/requests?status=Lost", 400, b"", {}),
        ("/v1/requests", "GET", "/v1/requests?status=", 400, b"", {}),
        ("/v1/requests", "GET", "/v1/requests?since=", 400, b"", {}),
        ("/v1/requests/{correlationId}", "GET", RUN, 200, b"", {}),
        ("/v1/requests/{correlationId}", "GET", f"{RUN}?wait=6.3e307", 200, b"", {}),
        ("/v1/requests/{correlationId}", "GET", "/v1/requests/open", 202, b"", {}),
        ("/v1/requests/{correlationId}", "GET", "/v1/requests/failed", 200, b"", {}),
        ("/v1/requests/{correlationId}", "DELETE", "/v1/requests/open", 202, b"", {}),
        ("/v1/requests/{correlationId}", "DELETE", RUN, 410, b"", {}),
        ("/v1/requests/{correlationId}/output", "GET", f"{RUN}/output", 200, b"", {}),
        ("/v1/requests/{correlationId}/output", "GET", "/v1/requests/open/output", 202, b"", {}),
        ("/v1/requests/{correlationId}/events", "GET", f"{RUN}/events", 200, b"", {}),
        ("/v1/requests/{correlationId}/events", "GET", f"{RUN}/events", 204, b"", {"last-event-id": "1"}),
        ("/v1/requests/{correlationId}/rerun", "POST", f"{RUN}/rerun", 202, b"", {}),
        ("/v1/automations", "GET", "/v1/automations", 200, b"", {}),
        ("/v1/automations/{name}", "GET", "/v1/automations/work", 200, b"", {}),
        ("/v1/deadletters", "GET", "/v1/deadletters", 200, b"", {}),
        ("/v1/deadletters", "GET", "/v1/deadletters?reason=Malformed&replayed=false&event=false", 200, b"", {}),
        ("/v1/deadletters", "GET", "/v1/deadletters?replayed=perhaps", 400, b"", {}),
        ("/v1/deadletters/{id}", "GET", "/v1/deadletters/none", 404, b"", {}),
        ("/v1/deadletters/{id}/replay", "POST", "/v1/deadletters/none/replay", 404, b"", {}),
        ("/v1/deadletters/{id}/replay", "POST", "/v1/deadletters/none/replay?number=0", 400, b"", {}),
        ("/v1/deadletters/{id}/replay", "POST", "/v1/deadletters/none/replay", 415, b"{}", {"content-type": "text/plain"}),
        ("/v1/audit", "GET", "/v1/audit", 200, b"", {}),
        ("/v1/audit", "GET", "/v1/audit?since=yesterday", 400, b"", {}),
        ("/v1/invocations/{correlationId}/{target}", "GET", WORK, 401, b"", {}),
        ("/healthz/live", "GET", "/healthz/live", 200, b"", {}),
        ("/healthz/ready", "GET", "/healthz/ready", 200, b"", {}),
        ("/metrics", "GET", "/metrics", 200, b"", {}),
        ("/openapi.json", "GET", "/openapi.json", 200, b"", {}),
    ],
)
async def test_answers_are_as_described(prepared, described, method, path, status, body, headers) -> None:
    got, names, content = await answer(prepared, method, path, body, headers)
    assert got == status
    check(described, method, got, names, content)


async def test_what_a_function_is_told_is_as_described(prepared) -> None:
    headers = {**JSON, **await work_token(prepared)}
    for method, body in (("GET", b""), ("POST", b'{"status": "running"}'), ("POST", b"[]")):
        check("/v1/invocations/{correlationId}/{target}", method, *await answer(prepared, method, WORK, body, headers))


@pytest.mark.parametrize(("error", "status"), [(Unavailable("away"), 503), (errors.Full("full"), 503), (errors.Undeliverable("no"), 422)])
async def test_trouble_with_the_bus_is_as_described(prepared, error, status) -> None:
    prepared.bus.fail(error)
    got, names, content = await answer(prepared, "DELETE", "/v1/requests/open", b"", {})
    assert got == status
    check("/v1/requests/{correlationId}", "DELETE", got, names, content)


async def test_replays_of_a_dead_letter_are_as_described(prepared) -> None:
    letters, _ = await prepared.bridge.services.deadletters.kept.page(1, "")
    asked = [("?number=1", b"", 202), ("?number=1", b"", 200), ("", b"{}", 400), ("", to_json(EDITED), 202), ("?number=9", b"", 400)]
    for query, body, status in asked:
        got, names, content = await answer(prepared, "POST", f"/v1/deadletters/{letters[0].id}/replay{query}", body, EVENT)
        assert got == status, content
        check("/v1/deadletters/{id}/replay", "POST", got, names, content)
    got, names, content = await answer(prepared, "GET", f"/v1/deadletters/{letters[0].id}", b"", {})
    check("/v1/deadletters/{id}", "GET", got, names, content)
    assert [replay["edited"] for replay in from_json(content)["replays"]] == [False, True]


async def test_a_dead_letter_that_somebody_else_changed_is_as_described(prepared) -> None:
    letters, _ = await prepared.bridge.services.deadletters.kept.page(1, "")
    prepared.store.fail(Conflict("changed"), key="deadletter/")
    got, names, content = await answer(prepared, "DELETE", f"/v1/deadletters/{letters[0].id}", b"", {})
    assert got == 409
    check("/v1/deadletters/{id}", "DELETE", got, names, content)
