"""Every rule finds its fault in the middle of files in which nothing else is wrong, and says where."""

from __future__ import annotations

import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.doctor import engine, fixes, reading
from bridge.doctor.findings import RULES, DoctorFinding, FindingLevel
from bridge.doctor.rules import load_all
from bridge.files import yamlfile

ROOT = Path(__file__).parents[2]
SEEDS: list[dict[str, Any]] = [
    seed for name in ("seeded.yaml", "faults.yaml") for seed in yaml.safe_load((Path(__file__).parent / name).read_text())
]
PLACED = yamlfile.placed
load_all()
#: Rules that need more than a file: they have tests of their own.
ELSEWHERE = {"certificate-ends", "document-too-long", "input-above-bus"}


@pytest.fixture(autouse=True)
def _parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a fault leaves as they are need not be parsed again for each of them."""
    monkeypatch.setattr(yamlfile, "placed", parsed)


@lru_cache(maxsize=100)
def parsed(text: str) -> list[tuple[yaml.Node, Any]]:
    return list(PLACED(text))


def on_redis(folder: Path) -> Path:
    """What is shipped for Redis, with a manifest, in which nothing is wrong."""
    shutil.copytree(ROOT / "components/redis", folder / "components/redis", ignore=shutil.ignore_patterns("endpoints"))
    (folder / "deploy").mkdir()
    shutil.copy(Path(__file__).parent / "manifest.yaml", folder / "deploy")
    return folder


def on_azure(folder: Path) -> Path:
    """What is shipped for Azure, with entities, catalogue, policies and host.json, in which nothing is wrong."""
    shutil.copytree(ROOT / "components/azure", folder / "components/azure")
    (folder / "functions/python").mkdir(parents=True)
    for name in ("components/servicebus.json", "functions/automations.yaml", "functions/resiliency.yaml"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "host.json", folder / "functions/python/host.json")
    return folder


def on_samples(folder: Path) -> Path:
    """Files of others than the bridge, of many kinds, in which nothing is wrong."""
    shutil.copytree(Path(__file__).parent / "samples", folder / "samples")
    return folder


def whole(folder: Path, fault: dict[str, Any]) -> Path:
    """The set in which the fault is."""
    place = str(fault.get("file") or fault["in"])
    if place.startswith("samples"):
        return on_samples(folder)
    return (on_redis if place.startswith(("components/redis", "deploy")) else on_azure)(folder)


def seed(folder: Path, fault: dict[str, Any]) -> tuple[Path, int]:
    """Put the fault in; the answer is the file and the line where it must be found."""
    for name, text in fault.get("add", {}).items():
        (folder / name).write_text(text)
    if "file" in fault:
        change(folder / fault["file"], fault["old"], fault["new"])
    if "second" in fault:
        old, new, *file = fault["second"]
        change(folder / (file[0] if file else fault["file"]), old, new)
    path = folder / fault.get("in", fault.get("file", ""))
    wanted = str(fault.get("at", fault.get("new", ""))).split("\n")[0]
    lines = [number for number, line in enumerate(path.read_text().splitlines(), 1) if wanted in line]
    return path, lines[int(fault.get("nth", 1)) - 1]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(
        text.replace(old, new) if path.name == "servicebus.json" and old.startswith('"MaxDeliveryCount": 2') else text.replace(old, new, 1)
    )


def found(folder: Path) -> list[DoctorFinding]:
    return engine.examine(reading.read([folder]), advice=True)


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    on_redis(on_azure(tmp_path))

    assert [each for each in found(tmp_path) if each.rule.name != "input-above-bus"] == []


def test_nothing_is_found_in_samples_of_many_kinds(tmp_path: Path) -> None:
    assert found(on_samples(tmp_path)) == []


@pytest.mark.parametrize("fault", SEEDS, ids=[f"{number}-{each['rule']}" for number, each in enumerate(SEEDS)])
def test_a_fault_is_found_where_it_is(fault: dict[str, Any], tmp_path: Path) -> None:
    path, line = seed(whole(tmp_path, fault), fault)

    findings = found(tmp_path)

    places = [(each.hit.file, each.hit.line) for each in findings if each.rule.name == fault["rule"]]
    assert (path, line) in places, [(each.rule.name, each.hit) for each in findings]
    others = {each.rule.name for each in findings} - {fault["rule"], "input-above-bus", *fault.get("also", ())}
    assert others == set()
    if any(each.hit.fix for each in findings):
        mends_nothing_else(tmp_path, findings)


def mends_nothing_else(folder: Path, findings: list[DoctorFinding]) -> None:
    """The fixes leave all lines but those of the findings, and no fix is left."""
    before = {path: path.read_bytes().split(b"\n") for path in folder.rglob("*") if path.is_file()}

    fixes.write(findings)

    told = {(each.hit.file, each.hit.line) for each in findings if each.hit.fix}
    for path, lines in before.items():
        after = path.read_bytes().split(b"\n")
        changed = {number for number, (old, new) in enumerate(zip(lines, after, strict=True), 1) if old != new}
        assert {(path, number) for number in changed} <= told
    assert [each.hit for each in found(folder) if each.hit.fix] == []


def test_every_rule_has_a_fault_that_it_finds() -> None:
    tried = {each["rule"] for each in SEEDS}
    by_sidecar = {name for name in RULES if name.startswith("sidecar-") and name != "sidecar-not-enabled"}
    assert set(RULES) - tried - ELSEWHERE - by_sidecar == set()
    assert len(tried) >= 40


def test_advice_is_found_on_request_only(tmp_path: Path) -> None:
    project = reading.read([on_azure(tmp_path)])

    assert engine.examine(project) == []
    assert {each.rule.level for each in engine.examine(project, advice=True)} == {FindingLevel.ADVICE}
