"""Commands as people start them, each a process of its own, without what each would take to load.

One process loads the command line once and forks a new one for each command: that has its own environment, folder and
streams, ends by itself, and leaves nothing to the next. Tests that signal a command, or give it a terminal, start it
themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOADED = (
    "comity.cli.app",
    "comity._sync.connect",
    "comity_sqlite.backend",
    "comity_redis.backend",
    "comity_guard.cli",
)
_READY = "ready\n"


class Commands:
    """Runs commands; the first one starts the process that the others come from."""

    def __init__(self) -> None:
        self._closing = contextlib.ExitStack()
        self._door = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def run(
        self, *args: str, environ: Mapping[str, str], cwd: Path | None = None, timeout: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with nothing to read; TimeoutError when it does not come."""
        asked = json.dumps({"args": args, "environ": dict(environ), "cwd": str(cwd or Path.cwd())})
        with contextlib.ExitStack() as open_:
            out, err = (open_.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2))
            nothing = open_.enter_context(Path(os.devnull).open())
            call = open_.enter_context(socket.socket(socket.AF_UNIX))
            call.settimeout(timeout)
            call.connect(self._door or self._start())
            socket.send_fds(call, [b" "], [stream.fileno() for stream in (nothing, out, err)])
            call.sendall(asked.encode())
            call.shutdown(socket.SHUT_WR)
            status = int(call.recv(64))
            return subprocess.CompletedProcess([*args], status, *map(_written, (out, err)))

    def _start(self) -> str:
        folder = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="comity-"))
        self._door = str(Path(folder) / "door")
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, self._door],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._closing.enter_context(process)  # it ends when its stdin does
        assert process.stdout is not None
        assert process.stdout.readline() == _READY
        return self._door


def _written(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()


def _serve(door: str) -> None:
    """Fork a process for each call, until stdin ends."""
    import importlib
    import select

    for name in _LOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(door)
        listening.listen()
        sys.stdout.write(_READY)
        sys.stdout.flush()
        while sys.stdin not in select.select([sys.stdin, listening], [], [])[0]:
            call, _ = listening.accept()
            with call:
                if os.fork() == 0:
                    listening.close()
                    _attend(call)


def _attend(call: socket.socket) -> None:
    """Fork the command, and tell its status when it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(call, 1, 3)
    with call.makefile("rb") as asked:
        request = json.load(asked)
    pid = os.fork()
    if pid == 0:
        _become(call, streams, request)
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):  # whoever asked may have gone
        call.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(call: socket.socket, streams: list[int], request: dict[str, Any]) -> None:
    """Be the command, as a new interpreter would."""
    from comity.cli import main

    call.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        old = getattr(sys, name)
        new = os.fdopen(old.fileno(), mode, encoding="utf-8", errors=old.errors, closefd=False)
        setattr(sys, name, new)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = ["comity", *request["args"]]
    sys.exit(main())


if __name__ == "__main__":
    _serve(sys.argv[1])
