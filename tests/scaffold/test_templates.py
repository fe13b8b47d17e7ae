"""What the templates take from elsewhere is there, in a checkout and in a wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bridge.files import packaged

ROOT = Path(__file__).parents[2]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]


@pytest.mark.parametrize("name", ["python/bridge_result.py", "python/bridge_invocation.py", "powershell/Modules/Automation.Bridge"])
def test_a_helper_is_in_the_wheel_under_the_name_that_is_looked_for(name: str) -> None:
    wheel = packaged.FOLDER.relative_to(ROOT) / "helpers" / name

    assert BUILD[f"functions/{name}"] == str(wheel)
    assert packaged.helper(name) == ROOT / "functions" / name
