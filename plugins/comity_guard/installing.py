"""``comity install``: a client's settings file changed in one step, with the file as it was kept beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from comity_guard.merging import installed, means_the_same, uninstalled

if TYPE_CHECKING:
    from pathlib import Path

    from comity_guard.merging import Hooks, IsOurs

_BACKUP = ".before-comity"


class Change(NamedTuple):
    """What becomes of one file. None: there is no file."""

    path: Path
    before: bytes | None
    after: bytes | None

    @property
    def is_none(self) -> bool:
        """Whether the file is already as it should be."""
        return self.before == self.after


def backup_of(path: Path) -> Path:
    """Return where the file as it was is kept."""
    return path.with_name(path.name + _BACKUP)


def plan_install(path: Path, hooks: Hooks, is_ours: IsOurs) -> Change:
    """Return what installing would do. Raises `Unusable` when the file is not the client's kind of JSON."""
    before = _bytes(path)
    return Change(path, before, installed(before or b"", hooks, is_ours))


def plan_uninstall(path: Path, is_ours: IsOurs) -> Change:
    """Return what uninstalling would do: the very bytes from before, unless somebody changed the file since."""
    before = _bytes(path)
    if before is None:
        return Change(path, None, None)
    rest = uninstalled(before, is_ours)
    original = _bytes(backup_of(path))
    if original is not None and means_the_same(rest, original):
        return Change(path, before, original)
    return Change(path, before, rest or None)


def perform(change: Change, *, keep: bool) -> None:
    """Make the change.

    `keep`: hold the file as it was before the first installation. Without it, such a copy is given up once the file is
    again what it was.
    """
    copy = backup_of(change.path)
    if keep and change.before is None:
        copy.unlink(missing_ok=True)  # of an installation that is long over
    elif keep:
        with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(change.before or b"")
    _replace(change)
    if not keep and change.after is not None and change.after == _bytes(copy):
        copy.unlink()


def _replace(change: Change) -> None:
    """Write the file in one step."""
    if change.is_none:
        return
    if change.after is None:
        change.path.unlink()
        return
    # A link in the place of the file, as people who keep their settings in a repository have, stays a link.
    path = change.path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    mode = path.stat().st_mode & 0o777 if change.before is not None else 0o600
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(change.after)
    os.replace(fresh, path)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
