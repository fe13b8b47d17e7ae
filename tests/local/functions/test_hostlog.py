from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys

from bridge.local.functions import hostlog

PROGRAM = """
import logging
from bridge.local.functions import hostlog
hostlog.setup()
logging.getLogger("bridge.functions").info("%s took %d ms", "echo", 3)
logging.getLogger("bridge.functions").debug("not shown")
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("It failed.")
"""


def test_a_line_has_time_level_name_and_text_and_an_error_its_traceback() -> None:
    written = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stderr.splitlines()

    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    bridge.functions: echo took 3 ms", written[0])
    assert re.fullmatch(r"\S+ \S+ ERROR   root: It failed\.", written[1])
    assert written[2].startswith("Traceback")
    assert written[-1].startswith("ZeroDivisionError")


def test_the_time_is_that_of_the_record() -> None:
    formatter = hostlog.LineFormatter("%(asctime)s")
    plain = logging.Formatter("%(asctime)s")

    for moment in (1_700_000_000.0009, 1_700_000_000.999, 1_700_000_001.5, 1_700_000_000.25):
        record = logging.LogRecord("name", logging.INFO, "", 0, "text", None, None)
        record.created, record.msecs = moment, int((moment % 1) * 1000)
        assert formatter.format(record) == plain.format(record)


def test_beside_a_bridge_that_logs_json_each_record_is_one_object_with_its_traceback_inside() -> None:
    environment = {**os.environ, "BRIDGE_LOG_FORMAT": "json"}
    written = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment).stderr
    first, second = (json.loads(line) for line in written.splitlines())

    assert (first["level"], first["logger"], first["event"]) == ("info", "bridge.functions", "echo took 3 ms")
    assert first["timestamp"].endswith("Z")
    assert second["exception"].splitlines()[-1].startswith("ZeroDivisionError")
