"""Where the command line keeps what must outlive it."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from urllib.parse import quote

_LONGEST = 60


def state_folder() -> Path:
    """Return this user's folder for it, by the platform's custom; made by whoever writes there."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        given = Path(os.environ.get("XDG_STATE_HOME", ""))
        base = given if given.is_absolute() else home / ".local" / "state"
    return base / "comity"


def private_folder(path: Path) -> Path:
    """Make a folder that only this user can look into, unless it is there, and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def file_name(namespace: str, url: str) -> str:
    """Return a file name for a namespace of a store: readable, and one of its own."""
    digest = hashlib.sha256(f"{url}\n{namespace}".encode()).hexdigest()[:12]
    return f"{quote(namespace, safe=' ')[:_LONGEST]}-{digest}"
