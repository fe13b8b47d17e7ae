"""The canary.yaml of docs/operations.md expects what the sample function gives."""

from __future__ import annotations

import re

from automations.table_summarize import summarize

from bridge import canary
from tests.sharedtools import CHECKOUT

PAGE = (CHECKOUT / "docs" / "operations.md").read_text()


def test_the_plan_of_the_page_expects_the_output_of_the_function(tmp_path):
    (text,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "canary.yaml").write_text(text)
    (case,) = canary.load(tmp_path / "canary.yaml")
    assert case.automation == "table.summarize"
    assert summarize(case.input, lambda *_: None) == case.output
