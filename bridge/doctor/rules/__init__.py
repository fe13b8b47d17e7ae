"""The rules, in files by what they look at. `docs/doctor.md` lists them; a test holds the list against the code."""

from __future__ import annotations

import importlib
import pkgutil


def load_all() -> None:
    """Fill the list of rules."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
