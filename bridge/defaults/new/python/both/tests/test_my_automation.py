"""`my.automation` with the input of its sample event. Run it with `python -m pytest` in an environment with the app's requirements."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import my_automation

SAMPLE = json.loads((Path(__file__).parent / "my.automation.json").read_text())


def test_the_words_of_the_sample_are_counted() -> None:
    assert my_automation.work(SAMPLE["data"]) == {"words": 6}
