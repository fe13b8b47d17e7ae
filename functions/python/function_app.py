"""The triggers of the app `python-functions`, in the Azure Functions Python model v2. What the automations do is in `automations`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
import bridge_result
import http_json
from automations import certificate_inspect as certificates
from automations import fleet_certificates as fleet
from automations import fleet_runtime
from automations import table_summarize as tables
from automations.refusal import Refusal
from bridge_invocation import Invocation, Stopped

log = logging.getLogger("automations")

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route("certificate/inspect", methods=["POST"])
def certificate_inspect(req: func.HttpRequest) -> func.HttpResponse:
    """`certificate.inspect`: one certificate in, its names and dates out."""
    return http_json.answer("certificate.inspect", req, lambda value: certificates.inspect(value, datetime.now(UTC)))


@app.route("fleet/expiry", methods=["POST"])
def fleet_expiry(req: func.HttpRequest) -> func.HttpResponse:
    """`fleet.certificates`, target `expiry`: when many certificates expire."""
    return http_json.answer("fleet.certificates/expiry", req, lambda value: fleet.expiry(value, datetime.now(UTC)))


@app.route("fleet/strength", methods=["POST"])
def fleet_strength(req: func.HttpRequest) -> func.HttpResponse:
    """`fleet.certificates`, target `strength`: how strong their keys and signatures are."""
    return http_json.answer("fleet.certificates/strength", req, fleet.strength)


@app.route("fleet/runtime", methods=["POST"])
def fleet_runtime_of_python(req: func.HttpRequest) -> func.HttpResponse:
    """`fleet.inventory`, target `python`: what Python sees of its machine."""
    return http_json.answer("fleet.inventory/python", req, fleet_runtime.runtime)


@app.service_bus_topic_trigger(
    "message", topic_name="%AUTOMATION_TOPIC%", subscription_name="%TABLE_SUMMARIZE_SUBSCRIPTION%", connection="ServiceBusConnection"
)
@app.service_bus_topic_output("result", topic_name="%RESULTS_TOPIC%", connection="ServiceBusConnection")
def table_summarize(message: func.ServiceBusMessage, result: func.Out[str]) -> None:
    """`table.summarize`: a table in, a summary of its columns out, with progress and cancel on the way."""
    invoked = bridge_result.read_invoked(message.get_body())
    try:
        output = _summarize(_input(invoked.get_data()), Invocation.of_event(invoked.get_attributes()))
    except (Refusal, Stopped) as ended:
        log.info("table.summarize %s: %s", invoked.get_id(), ended.code)
        result.set(bridge_result.failed(invoked, ended.code, ended.message))
        return
    log.info("table.summarize %s: done, %d rows, %d columns", invoked.get_id(), output["rows"], len(output["columns"]))
    result.set(bridge_result.succeeded(invoked, output))


def _summarize(value: Mapping[str, Any], invocation: Invocation) -> dict[str, Any]:
    pause = tables.pause(value)

    def progress(rows: int, share: float) -> None:
        invocation.checkpoint()
        invocation.report(round(100 * share, 1), f"{rows:,} rows")
        time.sleep(pause)

    return tables.summarize(value, progress)


def _input(data: object) -> Mapping[str, Any]:
    if isinstance(data, dict):
        return data
    raise Refusal("InvalidInput", 'The input must be a JSON object. Send {"csv": "..."}.')
