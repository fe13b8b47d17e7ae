"""`bridge resilience explain` on the files that the settings name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import bridge

ROOT = Path(__file__).parents[2]
ONE = "apiVersion: bridge/v1\nkind: Automation\nmetadata: {name: only.one}\n"


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user in the checkout."""
    monkeypatch.chdir(ROOT)


def told(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bridge("--json", "resilience", "explain", *words).stdout)
    return found


def test_the_shipped_policy_is_explained_in_tables_and_sentences() -> None:
    said = bridge("resilience", "explain", "python-functions").stdout
    assert "at most 4 attempts of 25s each; the last answer comes after 1m43.6s at worst." in said
    assert "certificate.inspect/inspect  1m        answers 503      4         Failed, Http503             1.19s to 3.56s" in said
    assert "The circuit breaker opens on the 6th failure in a row" in said


def test_json_has_the_same_in_seconds() -> None:
    found = told("powershell-functions")
    assert (found["mostAttempts"], found["worstSeconds"], found["timeout"]) == (4, 103.5625, 25)
    assert found["attempts"][1] == {"number": 2, "pause": [0.25, 0.75], "earliest": 0.25, "latest": 25.75}
    [target] = found["automations"]
    assert (target["automation"], [each["function"] for each in target["results"]]) == (
        "text.redact",
        ["answers 503", "never answers", "answers 404"],
    )
    assert found["delivery"]["handlerTimeout"] is None


def test_of_several_targets_the_rows_say_how_each_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = "[{name: a, http: {app: app, path: /api/a}}, {name: b, http: {app: app, path: /api/b}}]"
    (tmp_path / "catalogue.yaml").write_text(f"{ONE}spec: {{deadline: 1m, succeedsWhen: best-effort, targets: {targets}}}\n")
    monkeypatch.setenv("BRIDGE_CATALOGUE", str(tmp_path / "catalogue.yaml"))
    said = bridge("resilience", "explain", "app").stdout
    assert ("THIS TARGET ENDS" in said, "THE CALLER SEES" in said) == (True, False)
    assert said.count("only.one has 2 targets and succeedsWhen best-effort") == 1
    assert [(each["target"], each["targets"], each["succeedsWhen"]) for each in told("app")["automations"]] == [
        ("a", 2, "best-effort"),
        ("b", 2, "best-effort"),
    ]


def test_attempts_without_limit_are_ended_by_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    retries = "{app: {policy: constant, duration: 1s}}"
    spec = f"{{policies: {{retries: {retries}}}, targets: {{apps: {{app: {{retry: app}}}}}}}}"
    head = "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: app}\n"
    (tmp_path / "policies.yaml").write_text(f"{head}spec: {spec}\n")
    (tmp_path / "catalogue.yaml").write_text(f"{ONE}spec: {{deadline: 24h, targets: [{{name: a, http: {{app: app, path: /api/a}}}}]}}\n")
    monkeypatch.setenv("BRIDGE_RESILIENCY", str(tmp_path / "policies.yaml"))
    monkeypatch.setenv("BRIDGE_CATALOGUE", str(tmp_path / "catalogue.yaml"))
    said = bridge("resilience", "explain", "app").stdout
    assert "200 or more  the deadline ends it" in said
    assert told("app")["automations"][0]["results"][0]["cut"] is True


def test_the_handler_timeout_is_that_of_the_component_on_service_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_RESOURCES", "components/azure")
    assert told("python-functions")["delivery"]["handlerTimeout"] == 300


def test_an_app_that_no_file_names_is_refused_with_the_one_that_was_meant() -> None:
    refused = bridge("resilience", "explain", "python-function")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "Did you mean 'python-functions'?" in refused.stderr


def test_a_policy_file_with_a_mistake_is_refused_with_the_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "functions" / "resiliency.yaml").read_text()
    (tmp_path / "policies.yaml").write_text(text.replace("maxRetries: 3", "maxRetry: 3"))
    monkeypatch.setenv("BRIDGE_RESILIENCY", str(tmp_path / "policies.yaml"))
    refused = bridge("resilience", "explain", "python-functions")
    assert refused.exit_code == 2
    assert "did you mean 'maxRetries'?" in refused.stderr


def test_an_app_with_a_policy_that_no_automation_calls_is_explained_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "functions" / "resiliency.yaml").read_text()
    (tmp_path / "policies.yaml").write_text(text.replace("apps: {}", "apps: {lonely: {timeout: DefaultAppTimeoutPolicy}}"))
    monkeypatch.setenv("BRIDGE_RESILIENCY", str(tmp_path / "policies.yaml"))
    said = bridge("resilience", "explain", "lonely").stdout
    assert "1 attempt of 25s each" in said
    assert "No automation of the catalogue calls it." in said
