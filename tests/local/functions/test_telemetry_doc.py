"""docs/telemetry.md, as a reader follows it: its function, its catalogue, its collector, and what it says the collector prints."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.local.freeports import free_ports
from tests import docexamples
from tests.docexamples import Reader

from .conftest import wait_until

PAGE = docexamples.DOCS / "telemetry.md"
TEXT = PAGE.read_text()
METRIC = "metric\t"
FILES = docexamples.files_of(PAGE)


@pytest.fixture
def collected(tmp_path: Path) -> Iterator[list[list[str]]]:
    """What the collector of the page has printed, each line as its fields, once the request of the page has ended."""
    for name, (content,) in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (port,) = free_ports(1)
    endpoint = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    # The functions run with the Python of the tests, which has what their requirements.txt names.
    reader = Reader.at(tmp_path, BRIDGE_FUNCTIONS_PYTHON=sys.executable, **endpoint)
    with (tmp_path / "printed.txt").open("wb") as printed:
        collector = subprocess.Popen([sys.executable, "collector.py", str(port)], cwd=tmp_path, stdout=printed)
    try:
        with reader.serving("--functions", "functions") as process:
            wait_until(lambda: "is ready" in reader.log(".bridge/functions.log") or process.poll() is not None, "the functions", 60)
            assert process.poll() is None, reader.log("up.log")
            ask(reader)
            wait_until(lambda: is_whole(reader.log("printed.txt").splitlines()), "five spans and the metrics of a run that ended", 30)
            yield [line.split("\t") for line in reader.log("printed.txt").splitlines()]
    finally:
        collector.terminate()
        collector.wait(30)


def is_whole(printed: list[str]) -> bool:
    names = {line.removeprefix(METRIC).split("\t")[0] for line in printed if line.startswith(METRIC)}
    return (
        len([line for line in printed if not line.startswith(METRIC)]) >= 5
        and {"bridge.runs.ended", "http.client.request.duration"} <= names
    )


def ask(reader: Reader) -> None:
    """As the `curl` of the page does."""
    command = TEXT.partition("curl -s ")[2].partition("```")[0]
    path = re.search(r"http://127.0.0.1:8080(/\S+)", command)
    headers = dict(each.split(": ") for each in re.findall(r"-H '([^']+)'", command))
    body = re.search(r"-d '([^']+)'", command)
    assert path
    assert body
    asked = urllib.request.Request(  # noqa: S310 - a bridge on loopback
        reader.environment["BRIDGE_URL"] + path[1], body[1].encode(), headers
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - a bridge on loopback
        assert b'"status":"Succeeded"' in answer.read()


def test_the_spans_and_the_metrics_of_the_page_come_of_its_request(collected: list[list[str]]) -> None:
    metrics, collected = ([each for each in collected if (each[0] == METRIC.strip()) is wanted] for wanted in (True, False))
    assert {"bridge.runs.ended", "http.client.request.duration"} <= {name for _, name, _ in metrics}
    assert all(f"| `{name}` |" in TEXT and f"| `{unit}` |" in TEXT for _, name, unit in metrics)
    (trace_id, caller) = re.findall(r"traceparent: 00-(\w{32})-(\w{16})", TEXT)[0]
    assert {each[0] for each in collected} == {trace_id}
    by_id = {each[1]: each for each in collected}

    def depth(span: list[str]) -> int:
        return 0 if span[2] == caller else 1 + depth(by_id[span[2]])

    found = {("  " * depth(span) + span[4], span[3]) for span in collected}
    listed = TEXT.partition("prints five spans")[2].partition("```\n")[2].partition("```")[0].splitlines()
    assert found == {(name.rstrip(), service) for name, service in (re.split(r"\s+(?=\S+$)", line) for line in listed)}


def test_every_file_of_the_page_was_found() -> None:
    assert set(FILES) == {
        "functions/report/function_app.py",
        "functions/report/requirements.txt",
        "functions/automations.yaml",
        "collector.py",
    }
