"""The tools that charts are tested with are found or built by any Python, before anything is installed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import helm
from tests.sharedtools import CHECKOUT
from tools import goprograms
from tools.goprograms import NotThere, Tool
from tools.helm import definitions
from tools.helm.definitions import KEDA


@pytest.mark.parametrize("module", ["tools.helm.binaries", "tools.kubernetes.binaries"])
def test_nothing_has_to_be_installed_for_them(module: str) -> None:
    subprocess.run([sys.executable, "-S", "-W", "error", "-c", f"import {module}"], cwd=CHECKOUT, check=True, timeout=60)


def test_without_go_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(goprograms, "_GO", ())
    tool = Tool("no-such-program", tmp_path, ".", "1.2.3", "a minute")
    with pytest.raises(NotThere, match="make helm"):
        tool.find()
    with pytest.raises(NotThere, match=r"https://go\.dev/dl"):
        tool.ensure()


def test_a_module_with_other_files_than_those_that_were_checked_is_refused() -> None:
    helm.folder(KEDA)  # skips where there is no Go
    with pytest.raises(NotThere, match="with which it was checked"):
        definitions.fetch(dataclasses.replace(KEDA, sum="h1:other="))
