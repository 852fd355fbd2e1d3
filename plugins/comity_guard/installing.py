"""``comity install``: a client's settings file changed in one step, with the file as it was kept beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from comity_guard.merging import installed, uninstalled

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


def plan_uninstall(path: Path, hooks: Hooks, is_ours: IsOurs) -> Change:
    """Return what uninstalling would do: the very bytes from before, unless somebody changed the file since."""
    before = _bytes(path)
    if before is None:
        return Change(path, None, None)
    original = _bytes(backup_of(path))
    if before == installed(original or b"", hooks, is_ours):
        return Change(path, before, original)
    return Change(path, before, uninstalled(before, is_ours) or None)


def apply(change: Change) -> None:
    """Make the change in one step; the first time, keep the file as it was."""
    if change.is_none:
        return
    if change.after is None:
        change.path.unlink()
        return
    change.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = change.path.with_name(f"{change.path.name}.{os.getpid()}")
    mode = change.path.stat().st_mode & 0o777 if change.before is not None else 0o600
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(change.after)
    # A link in the place of the file, as people who keep their settings in a repository have, stays a link.
    os.replace(fresh, os.path.realpath(change.path))


def keep(change: Change, is_ours_already: bool) -> None:  # noqa: FBT001 - the one fact it needs
    """Keep the file as it was before the first installation; an older copy than ours is not written over."""
    if change.before is not None and not is_ours_already:
        copy = backup_of(change.path)
        with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(change.before)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
