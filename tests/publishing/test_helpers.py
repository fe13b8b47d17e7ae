from __future__ import annotations

from pathlib import Path

import pytest

from bridge.local.functions.apps import Language
from bridge.publishing import contents, helpers
from bridge.publishing.leftout import LeftOut
from tests.publishing.app_kit import write


def missing(app: Path, language: Language) -> list[str]:
    files = contents.of(app, LeftOut.of(app), app / "app.zip").files
    return [each.name for each in helpers.missing(language, files)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import bridge_result\n", ["bridge_result.py"]),
        ("from bridge_invocation import Invocation\n", ["bridge_invocation.py"]),
        ("def late():\n    import bridge_result as result, bridge_invocation\n", ["bridge_result.py", "bridge_invocation.py"]),
        ("from . import bridge_result\nTEXT = 'import bridge_result'\n", []),
        ("import bridge_results\n", []),
    ],
)
def test_a_python_app_gets_the_helpers_that_it_imports(tmp_path: Path, source: str, expected: list[str]) -> None:
    assert missing(write(tmp_path, {"function_app.py": "", "work/table.py": source}), Language.PYTHON) == expected


def test_a_python_app_keeps_a_helper_of_its_own(tmp_path: Path) -> None:
    assert missing(write(tmp_path, {"function_app.py": "import bridge_result", "bridge_result.py": "own"}), Language.PYTHON) == []


def test_a_source_that_this_python_cannot_read_is_passed_over(tmp_path: Path) -> None:
    files = {"function_app.py": "import bridge_result", "new.py": "def (:\n", "old.py": b"\xff\xfe\xff", "zero.py": b"\0"}
    assert missing(write(tmp_path, files), Language.PYTHON) == ["bridge_result.py"]


@pytest.mark.parametrize(
    "script",
    ["Complete-Automation -Output 1", "complete-automation", "Import-Module Automation.Bridge", "#Requires -Modules Automation.Bridge"],
)
def test_a_powershell_app_gets_the_whole_module_for_one_of_its_commands(tmp_path: Path, script: str) -> None:
    found = missing(write(tmp_path, {"Work/run.ps1": f"param($message)\n{script}\n"}), Language.POWERSHELL)
    assert {"Modules/Automation.Bridge/Automation.Bridge.psd1", "Modules/Automation.Bridge/Public/Complete-Automation.ps1"} <= set(found)


@pytest.mark.parametrize("script", ["Complete-AutomationLike", "Reset-Automation", ""])
def test_a_powershell_app_that_uses_no_command_gets_nothing(tmp_path: Path, script: str) -> None:
    assert missing(write(tmp_path, {"Work/run.ps1": script}), Language.POWERSHELL) == []


def test_a_powershell_app_keeps_a_module_of_its_own(tmp_path: Path) -> None:
    own = {"modules/automation.bridge/Automation.Bridge.psd1": "@{}"}
    assert missing(write(tmp_path, {"Work/run.ps1": "Complete-Automation", **own}), Language.POWERSHELL) == []
