"""A Sentinel that says what a test wants, at the moment the test wants it; the servers are real."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

from comity_redis.replies import MORE, new_reader

if TYPE_CHECKING:
    from tests.servers import Server

SERVICE = "main"


class Watcher:
    """Answers as a Sentinel does, on loopback, and announces a switch when told to."""

    def __init__(self, primary: Server) -> None:
        self.primary = primary
        self.asked = 0
        self._guard = threading.Lock()
        self._listening: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        reader = new_reader()
        with sock, contextlib.suppress(OSError):
            while data := sock.recv(65536):
                reader.feed(data)
                while (command := reader.gets()) is not MORE:
                    sock.sendall(self._answer(sock, command))

    def _answer(self, sock: socket.socket, command: list[bytes]) -> bytes:
        match command[0].upper():
            case b"SENTINEL":
                self.asked += 1
                if command[2] != SERVICE.encode():
                    return b"*-1\r\n"
                return _array(b"127.0.0.1", b"%d" % self.primary.port)
            case b"SUBSCRIBE":
                with self._guard:
                    self._listening.append(sock)
                return b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%b\r\n:1\r\n" % (len(command[1]), command[1])
            case b"PING":
                return _array(b"pong", b"")
        return b"-ERR unknown command\r\n"

    @property
    def listeners(self) -> int:
        """How many wait for an announcement."""
        with self._guard:
            return len(self._listening)

    def switch(self, primary: Server) -> None:
        """Name another primary from now on, and announce it."""
        old, self.primary = self.primary, primary
        text = f"{SERVICE} 127.0.0.1 {old.port} 127.0.0.1 {primary.port}".encode()
        with self._guard:
            for sock in self._listening:
                with contextlib.suppress(OSError):
                    sock.sendall(_array(b"message", b"+switch-master", text))

    def close(self) -> None:
        """Stop answering."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._guard:
            for sock in self._listening:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _array(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
