"""Service processes that this user started here: what each left behind to be found by, and its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING

import attrs

from comity.cli.places import file_name, private_folder, state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_LARGE_LOG = 1024 * 1024
"""A log that is larger when a process starts is put aside; the one put aside before goes."""
_POLL = 0.2
_TAIL = 64 * 1024


@attrs.frozen
class Started:
    """One process that runs a service. `handle`: text by which this user's commands act for its session."""

    agent_id: str
    pid: int
    handle: str


class Place:
    """Where the service processes of a namespace leave word: a log for all, and a file for each that runs.

    The folder is open to this user alone, for a handle is a secret.
    """

    def __init__(self, namespace: str, url: str) -> None:
        self._folder = state_folder() / "service"
        self._name = file_name(namespace, url)
        self.log = self._folder / f"{self._name}.log"

    def open_log(self) -> IO[bytes]:
        """Open the log for appending."""
        private_folder(self._folder)
        if self.log.exists() and self.log.stat().st_size > _LARGE_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def keep(self, started: Started) -> Path:
        """Leave word of a process; return the file, to be deleted when it ends."""
        private_folder(self._folder)
        path = self._folder / f"{self._name}.{started.pid}.json"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            json.dump(attrs.asdict(started), stream)
        return path

    def started(self) -> list[tuple[Path, Started]]:
        """Return the processes that left word; some may have died since."""
        found = []
        for path in sorted(self._folder.glob(f"{self._name}.*.json")):
            try:
                found.append((path, Started(**json.loads(path.read_text(encoding="utf-8")))))
            except (OSError, ValueError, TypeError):
                continue  # half written, or not ours
        return found

    def tail(self, lines: int) -> list[str]:
        """Return the last lines of the log, fewer when they are long."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(0, os.SEEK_END)
                stream.seek(max(stream.tell() - _TAIL, 0))
                text = stream.read().decode(errors="replace")
        except FileNotFoundError:
            return []
        return text.splitlines()[-lines:] if lines else []

    def follow(self) -> Iterator[str]:
        """Yield the lines that are added from now on, for ever, also when the log is put aside meanwhile."""
        size = self.log.stat().st_size if self.log.exists() else 0
        rest = b""
        while True:
            try:
                now = self.log.stat().st_size
            except FileNotFoundError:
                now = 0
            if now < size:
                size, rest = 0, b""
            if now > size:
                with self.log.open("rb") as stream:
                    stream.seek(size)
                    rest += stream.read(now - size)
                size = now
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace")
            else:
                time.sleep(_POLL)


def spawn(place: Place, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the service in a process of its own, out of reach of this terminal; it writes to the log."""
    # -P: a file of the folder we are in must not take the place of a module.
    command = [sys.executable, "-P", "-m", "comity.cli", "service", "start", "--foreground"]
    flags = getattr(subprocess, "DETACHED_PROCESS", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    with place.open_log() as log:
        return subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            creationflags=flags,
        )
