"""`bridge doctor` as it is used: exit codes, fixes, SARIF, certificates, a running sidecar."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import Result

from tests.cli.commands import bridge
from tests.dapr import authority
from tests.test_certificates import server

ROOT = Path(__file__).parents[2]
FAULTY = """# Ours, and it stays.
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: bus
spec:
  type: pubsub.redis
  version: v1
  metadata:
  - name: redisHost
    envRef: REDIS_HOST
  - name: redeliverIntervall   # misspelt
    value: 5s
scopes: [app]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doctor(*words: str, **options: Any) -> Result:
    return bridge("doctor", *words, **options)


def findings(*words: str, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bridge("--json", "doctor", *words, **options).stdout)["findings"]
    return found


@pytest.mark.parametrize(
    "shipped",
    [
        "components",
        "deploy",
        "functions",
        "host.json",
        *(f"components/{each.name}" for each in (ROOT / "components").iterdir() if each.is_dir()),
    ],
)
def test_nothing_is_found_in_what_is_shipped(shipped: str) -> None:
    result = doctor(str(ROOT / shipped))

    assert (result.exit_code, result.stdout) == (0, "")


def test_nothing_is_found_in_what_init_writes(folder: Path) -> None:
    bridge("init", "trial")

    assert doctor("trial").exit_code == 0


def test_a_fault_is_told_with_place_reason_and_fix(folder: Path) -> None:
    (folder / "bus.yaml").write_text(FAULTY)

    result = doctor("bus.yaml")

    assert result.exit_code == 1
    assert "bus.yaml:12: error metadata-unknown: redeliverIntervall is not a metadata name of pubsub.redis." in result.stdout
    assert "why:  Dapr ignores it silently" in result.stdout
    assert "fix:  Write redeliverInterval." in result.stdout


def test_json_has_the_names_that_scripts_read(folder: Path) -> None:
    (folder / "bus.yaml").write_text(FAULTY)

    told = json.loads(bridge("--json", "doctor", "--fix", "bus.yaml").stdout)

    assert set(told) == {"findings", "mended", "skipped", "certificates"}
    assert set(told["mended"][0]) == {"rule", "level", "file", "line", "message", "why", "mend", "fixable"}
    assert told["mended"][0]["mend"] == "Write redeliverInterval."


def test_fix_changes_what_needs_no_decision_and_keeps_comments(folder: Path) -> None:
    (folder / "bus.yaml").write_bytes(FAULTY.replace("\n", "\r\n").encode())

    doctor("--fix", "bus.yaml")
    result = doctor("--fix", "bus.yaml")

    assert result.exit_code == 0, result.output
    fixed = (folder / "bus.yaml").read_bytes().decode()
    assert fixed == FAULTY.replace("Intervall", "Interval").replace("5s", '"5000"').replace("\n", "\r\n")


def test_fix_keeps_the_quotes_around_a_name(folder: Path) -> None:
    (folder / "bus.yaml").write_text(FAULTY.replace("redeliverIntervall", '"redeliverIntervall"'))

    doctor("--fix", "bus.yaml")

    assert (folder / "bus.yaml").read_text() == FAULTY.replace("redeliverIntervall", '"redeliverInterval"')


SUBSCRIBED = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: bus}
spec:
  type: pubsub.azure.servicebus.topics
  version: v1
  metadata:
  - {name: namespaceName, envRef: HOST}
  - {name: handlerTimeoutInSec, value: "5"}
scopes: [automation-bridge]
---
apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata: {name: requests}
spec: {pubsubname: bus, topic: automation-requests, route: /deliveries/automation-requests/bridge}
scopes: [automation-bridge]
"""


def test_the_old_form_of_subscriptions_feeds_the_bridge_too(folder: Path) -> None:
    (folder / "bus.yaml").write_text(SUBSCRIBED)

    assert "handler-ends-first" in [each["rule"] for each in findings("bus.yaml")]


def test_without_fix_nothing_is_written(folder: Path) -> None:
    (folder / "bus.yaml").write_text(FAULTY)

    doctor("bus.yaml", "--advice")

    assert (folder / "bus.yaml").read_text() == FAULTY


def test_standard_input_is_read(folder: Path) -> None:
    assert [each["file"] for each in findings("-", input=FAULTY)] == ["-"]


@pytest.mark.parametrize("words", [("none.yaml",), ("--sidecar", "ftp://x"), ("--certificates", "none.pem")])
def test_what_cannot_be_looked_at_is_told(words: tuple[str, ...]) -> None:
    result = doctor(*words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.strip()


def test_sarif_names_rule_and_place(folder: Path) -> None:
    (folder / "bus.yaml").write_text(FAULTY)

    doctor("bus.yaml", "--sarif", "out.sarif")

    [run] = json.loads((folder / "out.sarif").read_text())["runs"]
    [result] = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "metadata-unknown"
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("bus.yaml", 12)


def test_sarif_writes_a_path_as_the_part_of_an_address(folder: Path) -> None:
    (folder / "our files").mkdir()
    (folder / "our files/bus#1.yaml").write_text(FAULTY)

    doctor("our files", "--sarif", "out.sarif")

    [result] = json.loads((folder / "out.sarif").read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "our%20files/bus%231.yaml"


def test_without_a_path_it_looks_at_what_the_settings_name(folder: Path) -> None:
    bridge("init", ".")
    assert findings() == []
    with (folder / "functions/automations.yaml").open("a") as catalogue:
        catalogue.write("---\nkind: Automaton\n")

    assert {(each["rule"], each["file"]) for each in findings()} == {("catalogue-invalid", "functions/automations.yaml")}


def test_settings_that_are_refused_are_a_finding(folder: Path) -> None:
    (folder / "bridge.yaml").write_text("# ours\nport: many\n")

    [only] = findings()

    assert (only["rule"], only["file"], only["line"]) == ("settings-invalid", "bridge.yaml", 2)


def certificate(days: float) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster.local")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    signed = made.not_valid_before(now - timedelta(days=400)).not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(("days", "code", "told"), [(100, 0, "holds until"), (20.5, 1, "in 20 days"), (-1, 1, "expired at")])
def test_certificates_in_a_file(folder: Path, days: float, code: int, told: str) -> None:
    (folder / "ca.crt").write_bytes(certificate(200) + certificate(days))

    result = doctor("--certificates", "ca.crt")

    assert (result.exit_code, told in result.stdout) == (code, True)


async def test_certificates_that_a_server_shows(tmp_path: Path) -> None:
    authority.write(tmp_path / "made", root=timedelta(days=200), issuer=timedelta(days=5.5))
    async with server(tmp_path / "made") as url:
        result = await asyncio.to_thread(doctor, "--certificates", url.replace("tls://", "https://"))

    assert result.exit_code == 1, result.output
    assert "The certificate of CN=issuer expires" in result.stdout
    assert "in 5 days" in result.stdout


def test_the_page_shows_what_is_printed(folder: Path) -> None:
    shutil.copytree(ROOT / "components/azure", folder / "components/azure")
    policies = folder / "components/azure/resiliency.yaml"
    policies.write_text(policies.read_text().replace("maxInterval: 15s", "maxInterval: 5x"))

    result = doctor("components/azure")

    [shown] = re.findall(r"```text\n(.*?)```", (ROOT / "docs/doctor.md").read_text(), re.DOTALL)
    assert result.stdout == shown


def test_certificates_beside_the_manifests(folder: Path) -> None:
    (folder / "ca.crt").write_bytes(certificate(200) + certificate(-1))

    [only] = findings(".")

    assert (only["rule"], only["file"], only["line"] > 8) == ("certificate-ends", "ca.crt", True)


def test_certificates_in_a_manifest(folder: Path) -> None:
    bundle = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "dapr-trust-bundle"},
        "data": {"ca.crt": certificate(-1).decode()},
    }
    (folder / "bundle.yaml").write_text(yaml.safe_dump(bundle))

    assert [each["rule"] for each in findings("bundle.yaml")] == ["certificate-ends"]


@contextmanager
def sidecar(answer: dict[str, Any]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer).encode()
            self.send_response(200 if self.path == "/v1.0/metadata" else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_what_a_running_sidecar_lacks_is_found(folder: Path) -> None:
    shutil.copytree(ROOT / "components/redis", folder / "redis")
    loaded = {
        "id": "automation-bridge",
        "runtimeVersion": "1.17.0",
        "components": [{"name": "bus", "type": "pubsub.in-memory", "version": "v1"}, {"name": "secrets", "type": "secretstores.local.env"}],
        "subscriptions": [
            {"pubsubname": "bus", "topic": f"automation-{each}"} for each in ("requests", "invocations", "results", "timers")
        ],
    }
    with sidecar(loaded) as url:
        found = findings("redis", "--sidecar", url, "--advice")

    assert {(each["rule"], Path(each["file"]).name) for each in found if each["rule"].startswith("sidecar")} == {
        ("sidecar-lacks-component", "store.yaml"),
        ("sidecar-lacks-component", "bus.yaml"),
        ("sidecar-lacks-subscription", "subscriptions.yaml"),
        ("sidecar-version", "bus.yaml"),
    }
