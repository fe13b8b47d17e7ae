"""docs/telemetry.md, as a reader follows it: its function, its catalogue, its collector, and the spans that it says come of it."""

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
FILES = docexamples.files_of(PAGE)


@pytest.fixture
def collected(tmp_path: Path) -> Iterator[list[list[str]]]:
    """The spans that the collector of the page has printed, each as its fields, once the request of the page has ended."""
    for name, (content,) in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (port,) = free_ports(1)
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    # The functions run with the Python of the tests, which has what their requirements.txt names.
    reader = Reader.at(tmp_path, BRIDGE_FUNCTIONS_PYTHON=sys.executable, **endpoint)
    with (tmp_path / "spans.txt").open("wb") as printed:
        collector = subprocess.Popen([sys.executable, "collector.py", str(port)], cwd=tmp_path, stdout=printed)
    try:
        with reader.serving("--functions", "functions") as process:
            wait_until(lambda: "is ready" in reader.log(".bridge/functions.log") or process.poll() is not None, "the functions", 60)
            assert process.poll() is None, reader.log("up.log")
            ask(reader)
            wait_until(lambda: len(reader.log("spans.txt").splitlines()) >= 5, "five spans", 30)
            yield [line.split("\t") for line in reader.log("spans.txt").splitlines()]
    finally:
        collector.terminate()
        collector.wait(30)


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


def test_the_spans_of_the_page_come_of_its_request(collected: list[list[str]]) -> None:
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
