"""`my.automation`: how many words a text has. Put your own work into `work`, and what it takes into the catalogue."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func

blueprint = func.Blueprint()


def work(value: dict[str, Any]) -> dict[str, Any]:
    """The output for an input that fits the schema in the catalogue. A ValueError says what is wrong with it."""
    return {"words": len(value["text"].split())}


@blueprint.route("my/automation", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
def my_automation(req: func.HttpRequest) -> func.HttpResponse:
    """200 with the output; 422 with code and message, which the bridge shows as the error of the run."""
    try:
        return _json(work(req.get_json()), 200)
    except ValueError as fault:
        return _json({"code": "InvalidInput", "message": str(fault)}, 422)


def _json(value: dict[str, Any], status: int) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(value), status_code=status, mimetype="application/json")
