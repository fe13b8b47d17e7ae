"""A function app that does what the tests tell it to."""

import asyncio
import json
import logging
import os
import time
from pathlib import Path

import azure.functions as func

if Path(os.environ.get("START_MARK", "none")).exists():
    raise ImportError("told not to start")

app = func.FunctionApp()


@app.route("ping", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def ping(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("pong")


@app.route("things/{kind}/{id?}", methods=["GET", "POST"])
def things(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    seen = {
        "kind": req.route_params["kind"],
        "id": req.route_params.get("id"),
        "query": dict(req.params),
        "header": req.headers.get("x-invocation-id"),
        "trace": context.trace_context.trace_parent,
        "body": req.get_body().decode(),
    }
    headers = {"Location": "/elsewhere", "Set-Cookie": "seen=yes; Path=/; HttpOnly"}
    return func.HttpResponse(json.dumps(seen), status_code=202, mimetype="application/json", headers=headers)


@app.route("fail", methods=["POST"])
def fail(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("the secret reason")


@app.route("leave", methods=["POST"])
async def leave(req: func.HttpRequest) -> func.HttpResponse:
    raise {"exit": SystemExit, "cancel": asyncio.CancelledError, "interrupt": KeyboardInterrupt}[req.params["how"]]("told to leave")


class Final(Exception):
    retriable = False


@app.route("refuse", methods=["POST"])
async def refuse(req: func.HttpRequest) -> func.HttpResponse:
    raise Final("never again\udc80" * 1000)


@app.route("trip", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def trip(req: func.HttpRequest) -> func.HttpResponse:
    raise KeyError("the secret reason")


@app.route("nap", methods=["POST"])
def nap(req: func.HttpRequest) -> func.HttpResponse:
    logging.info("naps %s", req.params.get("name"))
    time.sleep(float(req.params.get("seconds", "0")))
    return func.HttpResponse(status_code=204)


@app.route("block", methods=["POST"])
async def block(req: func.HttpRequest) -> func.HttpResponse:
    logging.info("blocks %s", req.params.get("name"))
    time.sleep(float(req.params.get("seconds", "0")))  # noqa: ASYNC251 - blocks the whole worker, which is the point
    return func.HttpResponse(status_code=204)


@app.route("sleep", methods=["POST"])
async def sleep(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.params["seconds"]))
    return func.HttpResponse(status_code=204)


@app.route("hang", methods=["POST"])
async def hang(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(60)  # noqa: ASYNC251 - blocks the whole worker, which is the point
    return func.HttpResponse()


@app.route("die", methods=["POST"])
def die(req: func.HttpRequest) -> func.HttpResponse:
    os._exit(3)


@app.route("talk", methods=["POST"])
def talk(req: func.HttpRequest) -> func.HttpResponse:
    logging.warning("a logged word")
    print("a printed word", end="")  # noqa: T201 - the host must catch it
    return func.HttpResponse(json.dumps({"pid": os.getpid(), "secret": os.environ.get("BRIDGE_SECRET")}))


@app.service_bus_topic_trigger("message", topic_name="%WORK_TOPIC%", subscription_name="sample", connection="ServiceBusConnection")
@app.service_bus_topic_output("result", topic_name="results", connection="ServiceBusConnection")
def work(message: func.ServiceBusMessage, result: func.Out[str]) -> None:
    order = json.loads(message.get_body())
    if not order.get("silent"):
        result.set(json.dumps(order.get("answer", {"correlation": message.correlation_id, "count": message.delivery_count})))
    if order.get("sleep"):
        logging.info("sleeps")
        time.sleep(order["sleep"])
    if order.get("die"):
        os._exit(3)
    if order.get("fail"):
        raise RuntimeError("told to fail")
    if order.get("refuse"):
        raise Final("told to refuse")
