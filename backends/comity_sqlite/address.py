"""From a URL to the path of the database file."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote

from comity.errors import InvalidSetting
from comity.folders import state_folder

_SCHEME = "sqlite://"
_WANTED = "write sqlite:///relative.db, sqlite:////absolute/path.db, or sqlite:// for this user's file"


def default_path() -> Path:
    """Return the file that ``sqlite://`` names."""
    return state_folder() / "comity" / "comity.db"


def path_of(url: str) -> Path:
    """Return the absolute path that `url` names; does not touch the file system.

    As elsewhere, three slashes begin a path relative to the current folder and four an absolute one; on
    Windows ``sqlite:///C:/path`` is absolute. ``%20`` and the like are decoded, ``~`` is the home folder.

    Raises `InvalidSetting` for a host part, options, or an in-memory database (nobody could share it).
    """
    if not url.startswith(_SCHEME):
        raise InvalidSetting(f"this is no SQLite URL; {_WANTED}")  # not shown: what it is may hold a password
    rest = url[len(_SCHEME) :]
    if rest in {"", "/"}:
        return default_path()
    if not rest.startswith("/"):
        raise InvalidSetting(f"a sqlite:// URL with two slashes names a host, but SQLite has only files; {_WANTED}")
    if "?" in rest or "#" in rest:
        raise InvalidSetting(f"the sqlite:// URL has options, SQLite takes none (%3F and %23 in a path); {_WANTED}")
    name = unquote(rest[1:])
    if ":memory:" in name or "\0" in name:
        raise InvalidSetting(
            f"{url!r} cannot be shared by sessions; use fakeredis://name within one process, or {_WANTED}"
        )
    return Path(os.path.abspath(Path(name).expanduser()))  # noqa: PTH100 - resolve() would follow links


def url_of(path: Path) -> str:
    """Return the URL that names `path` from any folder."""
    return _SCHEME + "/" + quote(path.as_posix(), safe="/:~")
