"""Which real files the demo's sessions contend for: a few small ones, read and never changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from comity.errors import InvalidName
from comity.names import check_lock_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_PASSED_BY = frozenset({"node_modules", "venv", "env", "__pycache__", "site-packages", "dist", "build", "target"})
_MOST_LOOKED_AT = 5000
_MOST_TAKEN, _MOST_COUNTED = 24, 300
LARGEST = 1024 * 1024
STRATEGIES = ("priority", "first_write", "last_write")
_HOT = 1 + len(STRATEGIES)


@attrs.frozen
class Target:
    """A file and the lock's name for it. `strategy`: how its lock is contended, "" for waiting in line."""

    name: str
    path: str
    strategy: str = ""


@attrs.frozen
class Targets:
    """`queue`: the file all wait in line for; `contested`: one per strategy; `cold`: the others."""

    queue: Target
    contested: tuple[Target, ...]
    cold: tuple[Target, ...]
    files: dict[str, str] = attrs.field(factory=dict)
    """All that are counted, these and others: the path by the name."""

    @property
    def hot(self) -> tuple[Target, ...]:
        """The files that most of the contention is about."""
        return (self.queue, *self.contested)

    def __len__(self) -> int:
        return len({target.path for target in (*self.hot, *self.cold)})


def choose(root: Path, spare: Path) -> Targets:
    """Choose among the files under `root`; without any, among some written to the folder `spare`.

    Fewer than there are roles for serve several times, as parts: ``README.md#2``.
    """
    everything = _found(root) or _found(_some_in(spare))
    names = list(everything)[:_MOST_TAKEN]
    found = {name: everything[name] for name in names}
    while len(names) < _HOT:
        path = list(found)[len(names) % len(found)]
        part = f"{path}#{len(names) // len(found) + 1}"
        names.append(part)
    paths = {name: str(found.get(name) or found[name.rpartition("#")[0]]) for name in names}
    hot, cold = names[:_HOT], names[_HOT:]
    return Targets(
        Target(hot[0], paths[hot[0]]),
        tuple(Target(name, paths[name], strategy) for name, strategy in zip(hot[1:], STRATEGIES, strict=True)),
        tuple(Target(name, paths[name]) for name in cold),
        {name: str(path) for name, path in everything.items()},
    )


def _found(root: Path) -> dict[str, Path]:
    """Return some readable files by their lock's name, those nearest to the top first."""
    if root.is_file():
        return {root.name: root} if _readable(root) else {}
    taken: dict[str, Path] = {}
    for path in _walk(root):
        name = path.relative_to(root).as_posix()
        try:
            check_lock_name(name)
        except InvalidName:
            continue
        if _readable(path):
            taken[name] = path
            if len(taken) == _MOST_COUNTED:
                break
    return taken


def _walk(root: Path) -> Iterator[Path]:
    """Yield the first files below `root` level by level; not those of tools and of version control."""
    level, looked_at = [root], 0
    while level:
        below: list[Path] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                looked_at += 1
                if looked_at > _MOST_LOOKED_AT:
                    return
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith(".") and entry.name not in _PASSED_BY:
                        below.append(Path(entry.path))
                elif not entry.name.startswith("."):
                    yield Path(entry.path)
        level = below


def _readable(path: Path) -> bool:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size <= LARGEST:
            return False
        with path.open("rb"):
            return True
    except OSError:
        return False


def _some_in(spare: Path) -> Path:
    spare.mkdir(exist_ok=True)
    for name in ("plan.md", "app.py", "test_app.py", "schema.sql", "notes.md", "style.css"):
        (spare / name).write_text(f"a file of the demo, for a folder without files: {name}\n")
    return spare
