from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import pytest
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bridge import errors
from bridge.api import problem
from bridge.errors import BridgeError, Full, InvalidInput, Unauthorized, Unavailable

REQUEST = Request({"type": "http", "method": "GET", "path": "/v1/nowhere", "headers": [], "query_string": b"", "server": ("x", 80)})


def classes(of: type[BridgeError] = BridgeError) -> list[type[BridgeError]]:
    return [of, *(each for sub in of.__subclasses__() for each in classes(sub))]


def made(kind: type[BridgeError]) -> BridgeError:
    if issubclass(kind, errors.ConfigurationError):
        return kind(["wrong"])
    return errors.CallFailed("Timeout", "no answer", may_have_run=True) if kind is errors.CallFailed else kind()


@pytest.mark.parametrize("kind", classes())
def test_every_error_is_a_problem_of_rfc_9457(kind):
    content = problem.content(made(kind))
    assert content["type"] == f"urn:automation-bridge:problem:{kind.code}"
    assert (content["status"], content["title"], content["code"]) == (kind.status, HTTPStatus(kind.status).phrase, kind.code)
    assert content["detail"]


def test_hint_and_violations_stand_in_it_where_there_are_some():
    violation = {"pointer": "/a", "rule": "type", "detail": "d"}
    content = problem.content(InvalidInput("No.", hint="Do.", errors=[violation]))
    assert (content["hint"], content["errors"]) == ("Do.", [violation])
    assert {"hint", "errors"}.isdisjoint(problem.content(BridgeError("x")))


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (Unavailable("x", retry_after=7), ("retry-after", "7")),
        (Full("x"), ("retry-after", "2")),
        (Unauthorized(), ("www-authenticate", "Bearer")),
        (BridgeError(), ("content-type", "application/problem+json")),
    ],
)
def test_a_problem_comes_with_the_headers_of_its_status(error, header):
    response = problem.answer(error)
    assert header in response.headers.items()
    assert response.status_code == error.status


async def test_a_queue_that_is_full_is_logged(caplog):
    await problem.of_bridge(REQUEST, Full("No room."))
    await problem.of_bridge(REQUEST, Unavailable("Nobody there."))
    assert [record.message for record in caplog.records] == [
        "refused work: No room. Send the same request with the same correlation id again: it never starts twice."
    ]


@pytest.mark.parametrize(("status", "code"), [(404, "NotFound"), (405, "MethodNotAllowed")])
async def test_a_path_or_method_that_is_not_there_is_a_problem_too(status, code):
    response = await problem.of_routing(REQUEST, HTTPException(status, headers={"allow": "POST"}))
    content: dict[str, Any] = from_json(response.body)
    assert (response.status_code, response.headers["allow"]) == (status, "POST")
    assert (content["status"], content["code"]) == (status, code)
    assert content["detail"].startswith("GET /v1/nowhere: ")
    assert "/openapi.json" in content["hint"]


async def test_a_mistake_of_ours_shows_none_of_its_insides(caplog):
    with caplog.at_level(logging.ERROR):
        response = await problem.of_mistake(REQUEST, RuntimeError("the password is hunter2"))
    assert response.status_code == 500
    assert b"hunter2" not in response.body
    assert from_json(response.body)["code"] == "InternalError"
    assert "hunter2" in caplog.text
