"""`my.automation`: how many words a text has. Put your own work into `work`, and what it takes into the catalogue."""

from __future__ import annotations

from typing import Any

import azure.functions as func
import bridge_result
from bridge_invocation import Invocation, Stopped

blueprint = func.Blueprint()


def work(value: dict[str, Any]) -> dict[str, Any]:
    """The output for an input that fits the schema in the catalogue. A ValueError says what is wrong with it."""
    return {"words": len(value["text"].split())}


@blueprint.service_bus_topic_trigger(
    "message", topic_name="my-topic", subscription_name="my-subscription", connection="ServiceBusConnection"
)
@blueprint.service_bus_topic_output("result", topic_name="automation-results", connection="ServiceBusConnection")
def my_automation(message: func.ServiceBusMessage, result: func.Out[str]) -> None:
    """The event of the bridge in, the event with the result out. Any other exception is tried again, and then a dead letter."""
    invoked = bridge_result.read_invoked(message.get_body())
    invocation = Invocation.of_event(invoked.get_attributes())
    try:
        invocation.report(0, "started")  # long work repeats these two: whoever waits sees how far it is, and can cancel it
        invocation.checkpoint()
        result.set(bridge_result.succeeded(invoked, work(invoked.get_data())))
    except Stopped as ended:
        result.set(bridge_result.failed(invoked, ended.code, ended.message))
    except ValueError as fault:
        result.set(bridge_result.failed(invoked, "InvalidInput", str(fault)))
