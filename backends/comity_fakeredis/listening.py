"""Hears what is published on an in-process server."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import redis

from comity.errors import Closed, Forked
from comity.flag import Flag
from comity_fakeredis.connection import NOTHING, FakeConnection
from comity_redis import forks
from comity_redis.listener import Heard, Message, Subscribed
from comity_redis.packing import pack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fakeredis import FakeServer

_WHAT = "this listener"
_PAUSE = 0.05  # seconds between attempts to connect
_SLICE = 0.25  # seconds of silence after which the connection is tried
_PING = pack("PING")


class FakeListener:
    """A `comity_redis.listener.Listener` on a `fakeredis.FakeServer`."""

    def __init__(self, server: FakeServer) -> None:
        """Take the server; the first `next` connects."""
        self.busy = False
        self._server = server
        self._channels: dict[bytes, None] = {}
        self._connection: FakeConnection | None = None
        self._guard = threading.Lock()  # one thread at a time sends on the connection
        self._turn = threading.Lock()  # held by `next`
        self._ended = Flag()
        self._forked = False
        forks.watch(self)

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def subscribe(self, channel: bytes) -> None:
        self._check()
        with self._guard:
            self._channels[channel] = None
            self._send(pack("SUBSCRIBE", channel))

    def unsubscribe(self, channel: bytes) -> None:
        self._check()
        with self._guard:
            self._channels.pop(channel, None)
            self._send(pack("UNSUBSCRIBE", channel))

    def _send(self, data: bytes) -> None:
        if self._connection is not None:
            with contextlib.suppress(redis.ConnectionError):  # `next` will notice too
                self._connection.send(data)

    def next(self, timeout: float) -> list[Heard]:
        deadline = time.monotonic() + timeout
        with self._turn:
            try:
                while True:
                    self._check()
                    left = deadline - time.monotonic()
                    connection = self._connection or self._connect()
                    if connection is None:
                        self._ended.wait(max(0.0, min(_PAUSE, left)))
                    elif heard := self._read(connection, max(0.0, min(_SLICE, left))):
                        return heard
                    if time.monotonic() >= deadline:
                        self._check()
                        return []
            finally:
                if self._ended.is_set:
                    self._lose()

    def _connect(self) -> FakeConnection | None:
        with self._guard:
            if self._ended.is_set:
                return None
            try:
                connection = FakeConnection(self._server)
                if self._channels:
                    connection.send(pack("SUBSCRIBE", *self._channels))
            except redis.ConnectionError:
                return None
            self._connection = connection
            return connection

    def _read(self, connection: FakeConnection, seconds: float) -> list[Heard]:
        heard: list[Heard] = []
        reply = connection.receive(seconds)
        if reply is NOTHING:
            try:
                with self._guard:
                    connection.send(_PING)  # a killed connection tells only those that write
            except redis.ConnectionError:
                self._lose()
            return heard
        while True:
            if isinstance(reply, list) and reply[0] == b"message":
                heard.append(Message(reply[1], reply[2]))
            elif isinstance(reply, list) and reply[0] == b"subscribe":
                heard.append(Subscribed(reply[1]))
            if not connection.received():
                return heard
            reply = connection.receive()

    def _lose(self) -> None:
        with self._guard:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def close(self) -> None:
        if self._forked or self._ended.is_set:
            return
        self._ended.set()
        with self._guard:
            if self._connection is not None:
                self._connection.wake()
        if self._turn.acquire(timeout=0.5):  # `next` leaves at once
            self._lose()
            self._turn.release()

    def disown(self) -> Iterable[int]:
        """Refuse all calls in a forked child: its copy of the server is not the parent's."""
        self._forked = True
        return ()

    def _check(self) -> None:
        if self._forked:
            raise Forked(_WHAT)
        if self._ended.is_set:
            raise Closed(_WHAT)
