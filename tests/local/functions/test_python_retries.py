"""Functions in Python that have a retry policy: they are run again while the message stays locked."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Hosts
from .namespace import SUBSCRIPTION, TOPIC, Namespace

BODY = """
    retry = context.retry_context
    failed = retry.rpc_exception
    result.set(json.dumps({"try": retry.retry_count, "of": retry.max_retry_count, "why": failed and failed.message}))
    if retry.retry_count < 1:
        raise RuntimeError("told to fail")
"""
V2 = (
    """
import json
import azure.functions as func

app = func.FunctionApp()

@app.service_bus_topic_trigger("message", topic_name="work", subscription_name="sample", connection="Bus")
@app.service_bus_topic_output("result", topic_name="results", connection="Bus")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
def work(message: func.ServiceBusMessage, result: func.Out[str], context: func.Context) -> None:
"""
    + BODY
)
V1 = (
    """
import json
import azure.functions as func

def main(message: func.ServiceBusMessage, result: func.Out[str], context: func.Context) -> None:
"""
    + BODY
)
FUNCTION_JSON = {
    "bindings": [
        {"type": "serviceBusTrigger", "name": "message", "topicName": TOPIC, "subscriptionName": SUBSCRIPTION, "connection": "Bus"},
        {"type": "serviceBus", "direction": "out", "name": "result", "topicName": "results", "connection": "Bus"},
    ],
    "retry": {"strategy": "fixedDelay", "maxRetryCount": 2, "delayInterval": "00:00:00"},
}


async def _tried(files: dict[str, str], python: str, tmp_path: Path, data_dir: Path, hosts: Hosts, namespace: Namespace) -> None:
    app = tmp_path / "apps" / "sample"
    for name, content in files.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(content)
    shared = tmp_path / "host.json"
    shared.write_text('{"version": "2.0"}')
    host = hosts.start(data_dir, tmp_path / "apps", shared, "--python", python)
    await namespace.put({})
    await namespace.until(1, "complete")

    (sent,) = namespace.bodies()
    assert (sent["try"], sent["of"]) == (1, 2)
    assert "told to fail" in sent["why"]
    assert namespace.steps.count("abandon") == 0
    assert "Azure announces their end" in host.log


async def test_a_function_of_the_model_v2_is_run_again_while_its_message_stays_locked(
    python: str, tmp_path: Path, data_dir: Path, hosts: Hosts, namespace: Namespace
) -> None:
    await _tried({"function_app.py": V2}, python, tmp_path, data_dir, hosts, namespace)


async def test_a_function_of_the_model_v1_is_run_again_while_its_message_stays_locked(
    python: str, tmp_path: Path, data_dir: Path, hosts: Hosts, namespace: Namespace
) -> None:
    files = {"work/__init__.py": V1, "work/function.json": json.dumps(FUNCTION_JSON)}
    await _tried(files, python, tmp_path, data_dir, hosts, namespace)
