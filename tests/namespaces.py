"""Namespaces of Linux for a process that tests in them, and ends afterwards."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

MOUNTS, NETWORK = 0x00020000, 0x40000000  #: flags of unshare(2)
_USERS = 0x10000000


def leave(flags: int) -> None:
    """Give this process namespaces of its own, in which it is root; nobody else sees its mounts. Ends it where that is not allowed."""
    system = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if system.unshare(flags | (0 if user == 0 else _USERS)):
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}. This needs root, or namespaces that users may make.")
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    if flags & MOUNTS:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def bind(source: Path, target: Path) -> None:
    """Have a file or folder stand in another place, too."""
    subprocess.run(["mount", "--bind", source, target], check=True)
