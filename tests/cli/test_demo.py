from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import signal
import ssl
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from bridge.cli.demo import findings, samples, stack, story
from bridge.cli.demo.samples import NoTrustStore
from bridge.cli.exits import Exit
from bridge.cli.screen import Screen
from bridge.local.functions import powershell


def test_the_certificates_are_those_this_machine_trusts() -> None:
    trusted = samples.trusted()
    assert len(trusted) > 20
    assert all(ssl.PEM_cert_to_DER_cert(pem) for pem in trusted)


def test_a_machine_that_trusts_nobody_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty.crt").write_text("")
    monkeypatch.setattr(samples, "_stores", lambda: iter([tmp_path / "missing.crt", tmp_path / "empty.crt"]))
    with pytest.raises(NoTrustStore, match="Install ca-certificates"):
        samples.questions()


def test_every_input_fits_into_a_request() -> None:
    assert all(len(json.dumps(question.value)) < 2**20 for question in samples.questions())


def test_a_bundle_ends_before_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "BUNDLE_BYTES", 5_000)
    bundle = samples.questions()[-1].value["bundle"]
    assert 0 < len(json.dumps(bundle)) <= 5_000
    assert bundle.endswith("-----END CERTIFICATE-----\n")


def test_one_request_is_an_event() -> None:
    event = next(question for question in samples.questions() if question.event).as_event()
    assert (event["type"], event["subject"], event["correlationid"]) == ("automation.requested", "fleet.certificates", "demo-fleet")


def test_the_table_has_thousands_of_real_files() -> None:
    header, *rows = csv.reader(io.StringIO(samples.files_csv()))
    assert header == ["folder", "file", "kind", "bytes", "changed"]
    assert 1_000 < len(rows) <= samples.ROWS
    assert all(len(row) == 5 and row[3].isdigit() for row in rows)


@pytest.mark.parametrize(
    ("automation", "output", "line"),
    [
        (
            "certificate.inspect",
            {"subject": "C=DE,CN=Root,O=x", "keyType": "RSA", "keyBits": 4096, "notAfter": "2030-01-02T00:00:00Z", "daysLeft": 1200},
            "Root: RSA 4096, until 2030-01-02 (1,200 days)",
        ),
        ("table.summarize", {"rows": 4000, "columns": [{"name": "file"}, {"name": "bytes"}]}, "4,000 rows; columns file, bytes"),
        (
            "fleet.certificates",
            {"expiry": {"certificates": 140, "expired": 1, "withinWarnDays": 2, "warnDays": 30}, "strength": {"weak": {"count": 3}}},
            "140 certificates: 1 expired, 2 within 30 days, 3 weak",
        ),
        ("text.redact", {"text": "[webToken]", "redacted": {"webToken": 2}}, "2 webToken"),
        ("text.redact", {"text": "", "redacted": {}}, "nothing to redact"),
        ("certificate.inspect", {"rows": [1, 2], "subject": "CN=a", "days": 5}, "subject CN=a, days 5, rows (2)"),
        ("other", None, "null"),
        ("other", [1, 2, 3], "(3)"),
        ("other", {"long": "x" * 200}, "long " + "x" * 104 + "…"),
    ],
)
def test_what_came_out_fits_in_one_line(automation: str, output: object, line: str) -> None:
    assert findings.tell(automation, output) == line


def test_with_powershell_the_demo_asks_for_its_samples_too() -> None:
    asked = {question.automation for question in samples.questions(with_powershell=True)}
    assert asked - {question.automation for question in samples.questions()} == {"host.inventory", "text.redact", "fleet.inventory"}


def test_without_powershell_one_line_says_what_to_install_and_a_wrong_name_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(powershell, "_USUAL_PLACES", ())
    monkeypatch.setattr(powershell.find, "__defaults__", ({},))
    assert asyncio.run(story.tell(Screen(), tmp_path)) == Exit.FAILED
    assert "The PowerShell samples are left out. There is no pwsh" in capsys.readouterr().err.replace("\n", " ")
    monkeypatch.setattr(powershell.find, "__defaults__", ({"BRIDGE_PWSH": "/nowhere/pwsh"},))
    assert asyncio.run(story.tell(Screen(), tmp_path)) == Exit.FAILED
    assert "which is not a program" in capsys.readouterr().err.replace("\n", " ")


def test_outside_the_project_the_demo_says_where_to_run_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asyncio.run(story.tell(Screen(), tmp_path)) == Exit.FAILED
    assert "Run the demo in the project's folder, or name it with --functions DIR" in capsys.readouterr().err.replace("\n", " ")


def test_a_bridge_that_does_not_start_is_told_with_its_log_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "automations.yaml").write_text("kind: Nonsense\n")
    assert asyncio.run(story.tell(Screen(), functions)) == Exit.FAILED
    assert "The bridge ended with exit code" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["functions"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_can_be_stopped_at_any_time_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("functions").mkdir()
    Path("functions/automations.yaml").touch()
    started: list[int] = []

    async def stopped_while_it_waits(process: Process, *_: object) -> None:
        started.append(process.pid)
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()

    monkeypatch.setattr(stack, "_ready", stopped_while_it_waits)
    assert asyncio.run(story.tell(Screen(), Path("functions"))) == Exit.INTERRUPTED
    assert capsys.readouterr().err.splitlines()[-1] == "Stopped."
    assert [path.name for path in tmp_path.iterdir()] == ["functions"]
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
