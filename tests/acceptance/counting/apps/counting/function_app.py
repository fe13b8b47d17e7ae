"""A function app that counts its effects in a file, a line each with the invocation id, and ends or waits where a test says so."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import azure.functions as func

sys.path.append(str(Path(__file__).parents[5] / "functions" / "python"))

import bridge_result
from bridge_invocation import Invocation, Stopped

app = func.FunctionApp()
effects = Path(os.environ["EFFECTS"])


def work(invocation_id: str, order: dict[str, Any]) -> dict[str, int]:
    """One effect. The first one of an invocation may be its process's last, or wait until the test says go."""
    with effects.open("a") as file:
        file.write(f"{invocation_id}\n")
    count = effects.read_text().split().count(invocation_id)
    if count == 1 and order.get("ends"):
        os.kill(os.getpid(), signal.SIGKILL)
    while count == 1 and order.get("waits") and not effects.with_name("go").exists():
        time.sleep(0.02)
    return {"count": count}


@app.route("count", methods=["POST"])
def count_call(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(work(req.headers["x-invocation-id"], req.get_json())), mimetype="application/json")


@app.service_bus_topic_trigger("message", topic_name="work", subscription_name="worker", connection="ServiceBusConnection")
@app.service_bus_topic_output("result", topic_name="automation-results", connection="ServiceBusConnection")
def count_message(message: func.ServiceBusMessage, result: func.Out[str]) -> None:
    invoked = bridge_result.read_invoked(message.get_body())
    try:
        Invocation.of_event(invoked.get_attributes()).checkpoint()
    except Stopped as stopped:
        result.set(bridge_result.failed(invoked, stopped.code, stopped.message))
        return
    result.set(bridge_result.succeeded(invoked, work(invoked.get_id(), invoked.get_data())))
