"""The HTTP API as an OpenAPI 3.1 document: every path of `bridge.api` with its parameters, statuses, headers and problems."""

from __future__ import annotations

from bridge.api.openapi.node import Node
from bridge.api.openapi.parameters import headers, parameters
from bridge.api.openapi.paths import paths
from bridge.api.openapi.problems import PROBLEMS, problem
from bridge.api.openapi.schemas import schemas
from bridge.settings import Settings


def describe(settings: Settings) -> Node:
    """The complete document, with the limits from the settings."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Automation Bridge",
            "version": "1",
            "description": "Ask for automations, look their results up by your own correlation id.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": settings.public_url or "/"}],
        "security": [{"bearer": []}] if settings.tokens else [{}],
        "paths": paths(settings),
        "components": {
            "schemas": schemas(),
            "parameters": parameters(settings),
            "headers": headers(),
            "responses": {f"Problem{status}": problem(status) for status in PROBLEMS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "One of the configured tokens."},
                "invocation": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-invocation-token",
                    "description": "The token that came with the work.",
                },
            },
        },
    }
