"""`bridge hammer` as it is used: against a function that it starts itself, and against one of somebody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

import pytest

from bridge import resilience
from tests.cli.commands import bridge

KEY = "k-123456"


class StagingServer(ThreadingHTTPServer):
    """A function app that answers every fourth call with 503. It counts what it was asked with."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: Counter[tuple[str, str | None, bytes]] = Counter()
        self.lock = Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, StagingServer)
        with self.server.lock:
            self.server.asked[self.path, self.headers.get("x-functions-key"), body] += 1
            status = 503 if self.server.asked.total() % 4 == 0 else 200
        self.send_response(status)
        self.send_header("content-length", "2")
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def staging() -> Iterator[StagingServer]:
    with StagingServer() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hammer(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own: it says where the log goes."""
    command = [sys.executable, "-m", "bridge", "hammer", "app", *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False)


def test_a_function_with_faults_is_measured_and_its_policy_tried_and_written(folder: Path) -> None:
    result = hammer(folder, "--seconds", "5", "--most", "300", "--to", "40", "--breaks-at", "0", "--hangs", "0", "--aim", "95", "--json")
    found = json.loads(result.stdout)
    calls = sum(each["calls"] for each in found["steps"]) + found["tried"]["calls"]
    assert result.returncode == (0 if found["good"] else 1), result.stderr
    assert found["steps"][0]["rate"] == 5
    assert found["agrees"]
    assert found["tried"]["requests"] > 0
    assert calls <= 300
    policy = resilience.load(folder / "hammer-app.yaml").for_app("app")
    assert policy.timeout.total_seconds() == found["policy"]["timeout"]
    assert (folder / "hammer-app.svg").read_text().startswith("<svg")


def test_a_function_of_somebody_else_is_called_with_key_and_body_and_no_more_often_than_allowed(
    folder: Path, staging: StagingServer
) -> None:
    (folder / "body.json").write_text('{"pem": "x"}')
    url = f"http://127.0.0.1:{staging.server_port}/api/work"
    options = ("--seconds", "5", "--most", "100", "--to", "20", "--key-env", "STAGING_KEY", "--out", "policy.yaml", "--svg", "picture.svg")
    result = hammer(folder, "--function", url, "--body", "body.json", *options, STAGING_KEY=KEY)
    assert "requests that succeed, by attempts" in result.stdout, result.stderr
    assert "Tried with a bridge" in (folder / "policy.yaml").read_text() or "Tried" in result.stdout
    [(path, key, body)] = staging.asked
    assert (path, key, json.loads(body)) == ("/api/work", KEY, {"pem": "x"})
    assert staging.asked.total() <= 100
    assert KEY not in result.stdout + result.stderr + (folder / "policy.yaml").read_text() + (folder / "picture.svg").read_text()


def test_a_function_that_nobody_serves_has_no_policy(folder: Path) -> None:
    result = hammer(folder, "--function", "http://127.0.0.1:1/api/work", "--seconds", "5", "--most", "50", "--to", "5")
    assert (result.returncode, "with ConnectionFailed: does it run there?" in result.stdout) == (1, True), result.stderr
    assert not (folder / "hammer-app.yaml").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("app", "--function", "https://staging.example.com/api/work"), "add --allow-host staging.example.com"),
        (("app", "--function", "http://127.0.0.1/x?code=1"), "may carry a secret"),
        (("app", "--function", "http://127.0.0.1:1/api/{id}"), "has a placeholder"),
        (("app", "--out", "none/policy.yaml"), "none is not a folder; create it first"),
        (("app", "--svg", "none/picture.svg"), "none is not a folder; create it first"),
        (("app", "--svg", "."), "is a folder; name a file in it"),
        (("App",), "is not a name of an app"),
        (("app", "--key-env", "NOT_THERE"), "the variable NOT_THERE is not set"),
        (("app", "--latency", "soon"), "is not a duration"),
        (("app", "--from", "10", "--to", "5"), "--from 10 is more than --to 5"),
        (("app", "--body", "none.json"), "none.json"),
        (("app", "--seconds", "1"), "greater than or equal to 5"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_before_anything_is_called(folder: Path, words: tuple[str, ...], told: str) -> None:
    result = bridge("hammer", *words)
    assert (result.exit_code, list(folder.iterdir())) == (2, [])
    assert told in " ".join(result.stderr.replace("│", " ").split())
