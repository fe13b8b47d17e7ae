"""The rules, grouped into files by what they examine. `docs/doctor.md` lists them, and a test compares the list with the code."""

from __future__ import annotations

import importlib
import pkgutil


def load_all() -> None:
    """Import all rules, so that they register themselves."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
