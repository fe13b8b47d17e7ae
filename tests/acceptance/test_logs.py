"""With `log_format: json` every line that a real process writes is one JSON object, whoever writes it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import ROOT, BridgeProcess
from tests.acceptance.test_functions import ask, need_functions

#: Python runs this at its start: then a request for an invocation meets what libraries do when they are in trouble.
IN_TROUBLE = r"""
import asyncio, logging, threading, warnings
from bridge.api.invocations import Invocations

async def lost():
    raise ValueError("nobody waits\nfor this")

def in_thread():
    raise KeyError("in a thread\n2026 forged")

async def show(self, request):
    logging.getLogger("aiohttp.server").error("a library\nfailed: %s", "twice", exc_info=OSError("of the network"))
    logging.getLogger("uvicorn.error").warning("badly formatted %d", "x")
    warnings.warn("an old\nway", UserWarning)
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    asyncio.get_running_loop().create_task(lost())
    await asyncio.sleep(0.01)
    raise RuntimeError("a mistake\nof ours")

Invocations.show = show
"""


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_steps_libraries_warnings_and_tracebacks_are_one_object_a_line(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "sitecustomize.py").write_text(IN_TROUBLE)
    environment = {"BRIDGE_LOG_FORMAT": "json", "PYTHONPATH": str(tmp_path / "start")}
    started_anew = ("env",)  # not a fork, which would not run what Python runs at its start
    made = BridgeProcess(tmp_path / "data", environment=environment, prefix=started_anew)
    # After a mistake of its own the server closes the connection, so each request has one of its own.
    apart = aiohttp.TCPConnector(force_close=True)
    async with made as bridge, aiohttp.ClientSession(bridge.url, connector=apart) as http:
        async with http.get("/v1/invocations/order-4711/summarize") as answer:
            assert answer.status == 500
        async with http.post("/v1/automations/nothing/requests", json={}) as answer:
            assert answer.status == 404
    lines = objects(bridge.log())
    by_error = {line["exception"].splitlines()[-1]: line for line in lines if "exception" in line}
    assert {"OSError: of the network", "of ours", "for this", "KeyError: 'in a thread\\n2026 forged'"} <= set(by_error)
    assert by_error["of ours"]["run"] == "order-4711"
    assert by_error["OSError: of the network"]["run"] == "order-4711"
    assert by_error["for this"]["event"].startswith("Task exception was never retrieved")
    assert {"warning", "error"} <= {line["level"] for line in lines}
    assert any("an old\nway" in line["event"] for line in lines)


@pytest.mark.parametrize("where", ["flag", "variable", "file"])
async def test_a_start_that_is_refused_is_told_in_json(tmp_path: Path, where: str) -> None:
    (tmp_path / "bridge.yaml").write_text("port: eighty\n" + ("log_format: json\n" if where == "file" else ""))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "up"),
        *(["--log-format", "json"] if where == "flag" else []),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), **({"BRIDGE_LOG_FORMAT": "json"} if where == "variable" else {})},
    )
    said, log = await process.communicate()
    (line,) = objects(log.decode())
    assert (said, line["level"], process.returncode) == (b"", "error", 2)
    assert "port" in line["event"]


async def test_the_functions_host_beside_a_bridge_logs_in_its_form(tmp_path: Path) -> None:
    need_functions()
    arguments = ("--functions", str(ROOT / "functions"), "--functions-port", "0", "--log-format", "json")
    async with BridgeProcess(tmp_path / "data", arguments=arguments) as bridge, aiohttp.ClientSession(bridge.url) as http:
        run = await ask(http, "table.summarize", {"csv": "a\n1\n"}, "order-4711", wait=50)
        assert run["status"] == "Succeeded"
    assert objects((bridge.data_dir / "functions.log").read_text())
    assert objects(bridge.log())
