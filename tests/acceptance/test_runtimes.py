"""What is not tried on every runtime says why."""

from __future__ import annotations

import re
from pathlib import Path

from tests.acceptance.runtimes import NOT_ON, ONLY_EMBEDDED

HERE = Path(__file__).parent


def test_every_reason_is_that_of_a_module_or_test_that_is_there() -> None:
    modules = {path.stem: path.read_text() for path in HERE.glob("test_*.py")}
    tests = {name for text in modules.values() for name in re.findall(r"def (test_\w+)\(", text)}
    assert {name for others in NOT_ON.values() for name in others} <= modules.keys() | tests


def test_every_module_is_tried_on_all_or_has_its_reason() -> None:
    """Those on Dapr alone have it in their names."""
    both = re.compile(r"\b(runtime|runtime_name|bridge|http): (Runtime|str|BridgeProcess|Http)\b")
    modules = {path.stem: path.read_text() for path in HERE.glob("test_*.py") if path != Path(__file__)}
    alone = {name for name, text in modules.items() if not both.search(text) and not name.startswith("test_dapr")}
    assert alone <= ONLY_EMBEDDED.keys()
