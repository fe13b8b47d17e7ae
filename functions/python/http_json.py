"""JSON in, JSON out, for functions behind HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import azure.functions as func
from automations.refusal import Refusal

log = logging.getLogger("automations")

Work = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def answer(automation: str, req: func.HttpRequest, work: Work) -> func.HttpResponse:
    """200 with the output, 400 for a body that is not a JSON object, 422 for an input that cannot be used; one line in the log."""
    status, body, code = _outcome(req.get_body(), work)
    content = json.dumps(body)
    log.info("%s: %d %s, %d bytes in, %d out", automation, status, code, len(req.get_body()), len(content))
    return func.HttpResponse(content, status_code=status, mimetype="application/json")


def _outcome(body: bytes, work: Work) -> tuple[int, Mapping[str, Any], str]:
    try:
        return 200, work(_object(body)), "done"
    except Refusal as refusal:
        status = 400 if refusal.code == "Malformed" else 422
        return status, {"code": refusal.code, "message": refusal.message}, refusal.code


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise Refusal("Malformed", "The body is not JSON. Send one JSON object in UTF-8.") from fault
    if not isinstance(value, dict):
        raise Refusal("Malformed", 'The body is JSON, but not an object. Send {"name": value, ...}.')
    return value
