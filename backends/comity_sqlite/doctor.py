"""What `comity doctor` asks of the file."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import sys
from typing import TYPE_CHECKING

from comity.model import Finding, Health
from comity_sqlite import file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from comity.ops import Op
    from comity_sqlite.runner import Runner
    from comity_sqlite.step import Step

_CHECKED_BYTES = 128 * 1024 * 1024
"""Larger files are not read through: that would take longer than a step may."""
_ROOM_BYTES = 64 * 1024 * 1024
_WAL_RESET_FIXED = (3, 51, 3)
_CLOCK_SLACK_US = 1_000_000


def examine(runner: Runner) -> Op[Sequence[Finding]]:
    """Describe the step that looks the file over."""
    return runner.read("diagnose", lambda step: tuple(_findings(runner, step)))


def _findings(runner: Runner, step: Step) -> Iterator[Finding]:
    yield _version()
    yield _log(runner, step)
    yield from _permissions(runner)
    yield _soundness(runner, step)
    yield _clock(runner, step)
    yield _room(runner)


def _version() -> Finding:
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= _WAL_RESET_FIXED:
        return Finding(Health.OK, "SQLite version", found)
    other = "; other programs that write the file (the sqlite3 shell) should be 3.51.3 or later"
    return Finding(Health.OK, "SQLite version", found + other)


def _log(runner: Runner, step: Step) -> Finding:
    mode = step.one("PRAGMA journal_mode")[0]
    if mode == "wal":
        log = runner.path.with_name(runner.path.name + "-wal")
        size = log.stat().st_size if log.exists() else 0
        return Finding(Health.OK, "write-ahead log", f"in force, {size // 1024} KiB")
    return Finding(Health.FAIL, "write-ahead log", f"journal mode {mode}", "put the file on a local disk")


def _permissions(runner: Runner) -> Iterator[Finding]:
    if sys.platform == "win32":
        return
    for path, wanted in ((runner.path, 0o600), (runner.path.parent, 0o700)):
        mode = stat.S_IMODE(path.stat().st_mode)
        shared = mode & (0o066 if path == runner.path else 0o022)
        yield Finding(
            Health.WARN if shared else Health.OK,
            "permissions",
            f"{path} has {mode:o}",
            f"chmod {wanted:o} {path}, unless others are meant to use it" if shared else "",
        )


def _soundness(runner: Runner, step: Step) -> Finding:
    size = runner.path.stat().st_size
    if size > _CHECKED_BYTES:
        return Finding(
            Health.WARN,
            "soundness",
            f"not checked, the file has {size >> 20} MiB",
            'run: sqlite3 FILE "PRAGMA quick_check"',
        )
    found = [row[0] for row in step.all("PRAGMA quick_check(3)")]
    if found == ["ok"]:
        return Finding(Health.OK, "soundness", f"ok, {size // 1024} KiB")
    return Finding(
        Health.FAIL,
        "soundness",
        "; ".join(found),
        "end all sessions and move the file with its -wal and -shm files away",
    )


def _clock(runner: Runner, step: Step) -> Finding:
    boot, mono_us = step.one("SELECT boot, mono_us FROM host") or ("", 0)
    if boot != runner.clock.boot() or mono_us > step.now_us:
        return Finding(
            Health.FAIL,
            "clock",
            "another machine uses the file",
            "keep it on a disk of one machine; several machines meet on Redis",
        )
    (token,) = step.one("SELECT max(token) FROM spaces")
    if token > step.wall_us + _CLOCK_SLACK_US:
        behind = (token - step.wall_us) / 1e6
        return Finding(
            Health.WARN,
            "clock",
            f"the wall clock was set back by {behind:.0f} s; tokens and leases are not affected",
            "set the clock right",
        )
    return Finding(Health.OK, "clock", "monotonic clock of this boot")


def _room(runner: Runner) -> Finding:
    free = shutil.disk_usage(runner.path.parent).free
    if free < _ROOM_BYTES + 2 * file.LOG_LIMIT:
        return Finding(Health.WARN, "disk", f"{free >> 20} MiB free", "free some disk space")
    return Finding(Health.OK, "disk", f"{free >> 30} GiB free")
