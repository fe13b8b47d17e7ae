"""`app_offline.htm`: an app with this file in its folder is offline, and every request for it gets the file, as in Azure."""

from __future__ import annotations

from pathlib import Path

FILE = "app_offline.htm"


def read(app: Path) -> bytes | None:
    """What the app in this folder answers instead of its functions; None if it is not offline."""
    try:
        return (app / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # the file is there, and that is what counts
        return b""
