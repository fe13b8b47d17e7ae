"""A function app behind the topic `work` that does what its input says. In a file it counts, a line for each time, what it was given."""

import hashlib
import json
import os
import sys
from pathlib import Path

import azure.functions as func

sys.path.insert(0, str(Path(__file__).parents[4]))

from tests.chaos.answers import answers

app = func.FunctionApp()
effects = Path(os.environ["EFFECTS"])


class Thrown(Exception):
    """What the input asks for."""


@app.service_bus_topic_trigger("message", topic_name="work", subscription_name="worker", connection="ServiceBusConnection")
@app.service_bus_topic_output("results", topic_name="automation-results", connection="ServiceBusConnection")
def work(message: func.ServiceBusMessage, results: func.Out[str]) -> None:
    body = message.get_body()
    invoked = json.loads(body)
    # An event that was sent for another attempt has another time in it; one that comes again is the same byte for byte.
    number = hashlib.sha256(body).hexdigest()
    with effects.open("a") as file:
        file.write(f"{invoked['id']} {number}\n")
    what = (invoked.get("data") or {}).get("do", "succeed")
    if what == "throw":
        raise Thrown(invoked["id"])
    attempt = len({line for line in effects.read_text().splitlines() if line.startswith(f"{invoked['id']} ")})
    results.set(
        json.dumps([{**answer, "id": f"{invoked['id']}/{number}/{index}"} for index, answer in enumerate(answers(what, attempt, invoked))])
    )
