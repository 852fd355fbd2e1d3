"""Everything this package takes from redis-py's inner parts, in one place.

redis-py connects (names, Unix sockets, TLS, the caller's own connection classes); from then on the
socket or transport is ours. Its types are incomplete, so the casts are here too.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import redis
import redis.asyncio.connection as redis_asyncio
import redis.connection as redis_sync
from redis._parsers import _RESP2Parser

from comity_redis.replies import MORE, ErrorReply, NotRedis

if TYPE_CHECKING:
    import asyncio
    import socket

SyncClass = type[redis_sync.Connection] | type[redis_sync.UnixDomainSocketConnection]
AsyncClass = type[redis_asyncio.Connection] | type[redis_asyncio.UnixDomainSocketConnection]

COLOURS: list[tuple[SyncClass, AsyncClass]] = [
    (redis_sync.Connection, redis_asyncio.Connection),
    (redis_sync.SSLConnection, redis_asyncio.SSLConnection),
    (redis_sync.UnixDomainSocketConnection, redis_asyncio.UnixDomainSocketConnection),
]
"""redis-py's connection classes, the blocking one and its asyncio twin."""


def _ours(_connection: object) -> None:
    """Stand in for redis-py's handshake, which takes a round trip for each of its parts."""


class _OneDeadline:
    """Bounds the whole of a connect: redis-py gives each address and each step its own timeout."""

    deadline: ClassVar[float]

    @property
    def _left(self) -> float:
        return max(0.001, self.deadline - time.monotonic())

    socket_timeout = property(lambda self: self._left, lambda _self, _value: None)
    socket_connect_timeout = property(lambda self: self._left, lambda _self, _value: None)


_contexts: dict[tuple[object, ...], ssl.SSLContext] = {}
"""How TLS is spoken, by what that depends on. redis-py makes it anew for each connection: 25 ms, while loops stand."""
_MOST_CONTEXTS = 16
_TLS_FILES = ("ssl_certfile", "ssl_keyfile", "ssl_ca_certs", "ssl_ca_path")


class _KnownContext:
    """Speaks TLS as an earlier connection did."""

    context: ClassVar[ssl.SSLContext]
    host: str

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        return self.context.wrap_socket(sock, server_hostname=self.host)


def _tls(cls: SyncClass | AsyncClass, options: dict[str, Any]) -> tuple[object, ...] | None:
    """Return what its TLS context depends on, files as they are now; None where redis-py is to make one each time."""
    told = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if cls not in COLOURS[1] or any("ocsp" in name and value for name, value in told.items()):
        return None
    default = ssl.get_default_verify_paths()
    files = [*(told.get(name) for name in _TLS_FILES), default.cafile, default.capath]
    try:
        found = [Path(file).stat() for file in files if file]
    except OSError:
        return None  # redis-py says which
    marks = [(file.st_mtime_ns, file.st_size, file.st_ino) for file in found]
    return (*sorted((name, repr(value)) for name, value in told.items()), *marks)


def _keep(key: tuple[object, ...] | None, context: object) -> None:
    if key is not None and isinstance(context, ssl.SSLContext):
        if len(_contexts) >= _MOST_CONTEXTS:
            _contexts.clear()
        _contexts[key] = context


def connect(cls: SyncClass, options: dict[str, Any], deadline: float) -> socket.socket:
    """Return a connected socket, made by a redis-py connection class until `deadline` (monotonic).

    Raises what redis-py raises: `redis.RedisError`, `OSError`.
    """
    key = _tls(cls, options)
    known = None if key is None else _contexts.get(key)
    parts = (_OneDeadline, cls) if known is None else (_OneDeadline, _KnownContext, cls)
    bounded = type(cls.__name__, parts, {"deadline": deadline, "context": known})
    connection = bounded(**{"redis_connect_func": _ours, **options}, protocol=2, retry=None, driver_info=None)
    connection.connect()
    sock = cast("socket.socket", connection._sock)  # noqa: SLF001 - it is ours from here on
    connection._sock = None  # noqa: SLF001 - or the connection would shut it down when it is freed
    if known is None:
        _keep(key, getattr(sock, "context", None))
    return sock


async def aconnect(cls: AsyncClass, options: dict[str, Any], seconds_left: float) -> asyncio.StreamWriter:
    """Return the writer of a connected stream, made by a redis-py connection class."""
    connection = cast("Any", cls)(
        **{"redis_connect_func": _ours, **options},
        protocol=2,
        retry=None,
        driver_info=None,
        socket_timeout=seconds_left,
        socket_connect_timeout=seconds_left,
    )
    key = _tls(cls, options)
    if key is not None:
        connection.ssl_context.context = _contexts.get(key)
    try:
        await connection.connect()
    except BaseException:
        if connection._writer is not None:  # noqa: SLF001
            connection._writer.transport.abort()  # noqa: SLF001
            connection._writer = None  # noqa: SLF001
        raise
    writer = cast("asyncio.StreamWriter", connection._writer)  # noqa: SLF001
    connection._writer = connection._reader = None  # noqa: SLF001
    if key is not None:
        _keep(key, connection.ssl_context.context)
    return writer


class _Parser(_RESP2Parser):
    @classmethod
    def parse_error(cls, response: str) -> Any:
        return ErrorReply(response)


class _Needs(Exception):
    """The parser asked for bytes that have not come yet."""


class ParserReader:
    """redis-py's own parser behind `Reader`, for installations without hiredis."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._sock = self  # the parser asks its connection for these three
        self.socket_timeout = None
        self.encoder = None
        self._parser = cast("Any", _Parser)(65536)
        self._parser.on_connect(self)

    def recv(self, _size: int) -> bytes:
        """Give the parser the bytes fed so far."""
        if not self._chunks:
            raise _Needs
        return self._chunks.pop(0)

    def feed(self, data: bytes | bytearray, start: int = 0, length: int = -1) -> None:
        """Take bytes as received."""
        end = len(data) if length < 0 else start + length
        self._chunks.append(bytes(data[start:end]))

    def gets(self) -> Any:
        """Return the next answer, or `MORE` when it is not complete."""
        try:
            return self._parser.read_response(disable_decoding=True)
        except _Needs:
            return MORE
        except redis.InvalidResponse as error:
            raise NotRedis(error) from error
