"""The commands of the pages for operators, run as they stand there, by bash with kubectl and Helm against the API server of the tests."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.deploy import helm as charts
from tests.kubernetes.cluster import Cluster
from tests.sharedtools import CHECKOUT
from tools.helm import binaries as helm
from tools.helm.definitions import DAPR
from tools.kubernetes import binaries

OPERATIONS = CHECKOUT / "docs" / "operations.md"
DEPLOYING = CHECKOUT / "docs" / "deploying.md"


def commands(page: Path, words: str) -> str:
    """The first block of commands of a page that has these words."""
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    indent, text = next(each for each in blocks if words in each[1])
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


def in_a_sentence(page: Path, words: str) -> str:
    """The command that begins with these words and stands in the text of a page."""
    return next(each for each in re.findall(r"`([^`\n]+)`", page.read_text()) if each.startswith(words))


def run(cluster: Cluster, text: str, folder: Path, tools: Mapping[str, str] | None = None) -> str:
    """Run commands in a folder, and give what they print; `tools` are further programs, by their name, as the text of a script.

    Two things cannot be as on the page: charts come from no repository, and without machines no pod is ever ready, so none is waited for.
    """
    text = re.sub(r"^helm repo add .*\n", "", text, flags=re.MULTILINE).replace(" --wait", "")
    text = re.sub(r"dapr/dapr --version \S+", str(charts.folder(DAPR)), text)
    programs = folder / ".bin"
    programs.mkdir(exist_ok=True)
    for name, script in {
        "kubectl": f'exec "{binaries.find("kubectl")}" "$@"',
        "helm": f'exec "{helm.HELM.find()}" "$@"',
        **(tools or {}),
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o700)
    known = {"PATH": f"{programs}:{os.environ['PATH']}", "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(cluster.folder)}
    command = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **known}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
