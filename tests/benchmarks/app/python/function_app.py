"""Two functions that give back what they get, one behind HTTP and one behind a topic."""

import json

import azure.functions as func

CARRIED = ("subject", "correlationid", "invocationtoken")

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route("echo", methods=["POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(req.get_json()), mimetype="application/json")


@app.service_bus_topic_trigger("message", topic_name="bench-echo", subscription_name="echo", connection="ServiceBusConnection")
@app.service_bus_topic_output("result", topic_name="automation-results", connection="ServiceBusConnection")
def echo_topic(message: func.ServiceBusMessage, result: func.Out[str]) -> None:
    invoked = json.loads(message.get_body())
    answer = {
        "specversion": "1.0",
        "id": f"{invoked['id']}/result",
        "source": "/bench",
        "type": "automation.result",
        "causationid": invoked["id"],
        **{name: invoked[name] for name in CARRIED},
        "data": {"status": "succeeded", "output": invoked["data"]},
    }
    result.set(json.dumps(answer))
