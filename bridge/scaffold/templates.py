"""The templates of new automations. They are a working set for the automation `my.automation`, in which names are replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bridge.files import packaged
from bridge.scaffold.names import Names

FOLDER = packaged.FOLDER / "new"


def text(name: str, names: Names) -> str:
    """The text of one template."""
    return _named((FOLDER / name).read_text(encoding="utf-8"), names)


def files(folder: str, names: Names) -> Iterator[tuple[Path, str]]:
    """The templates of a folder, each with the path that it gets below the app's folder."""
    root = FOLDER / folder
    for path in sorted(each for each in root.rglob("*") if each.is_file() and "__pycache__" not in each.parts):
        yield Path(_named(str(path.relative_to(root)), names)), _named(path.read_text(encoding="utf-8"), names)


def _named(template: str, names: Names) -> str:
    replaced = {
        "my.automation": names.automation,
        "my/automation": names.route,
        "my_automation": names.module,
        "MyAutomation": names.function,
        "myAutomation": names.variable,
        "my-subscription": names.subscription,
        "my-target": names.target,
        "my-topic": names.topic,
        "my-app": names.app,
    }
    return re.sub("|".join(map(re.escape, replaced)), lambda found: replaced[found[0]], template)
