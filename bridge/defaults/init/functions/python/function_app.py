"""An ordinary Azure Functions app: it knows nothing of the bridge, and runs in Azure as it is."""

import json

import azure.functions as func

app = func.FunctionApp()


@app.route("greetings/{name}", methods=["GET"])
def greetings(req: func.HttpRequest) -> func.HttpResponse:
    """A greeting for the name in the path."""
    answer = {"greeting": f"Hello, {req.route_params['name']}"}
    return func.HttpResponse(json.dumps(answer), mimetype="application/json")
