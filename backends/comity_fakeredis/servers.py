"""In-process servers, shared by name: whoever says ``fakeredis://ci`` meets on the same one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import fakeredis
import redis
import redis.asyncio

from comity.errors import InvalidArgument, InvalidSetting

if TYPE_CHECKING:
    from fakeredis import FakeServer

_guard = threading.Lock()
_servers: dict[str, FakeServer] = {}


def named_server(name: str) -> FakeServer:
    """Return the process's server of this name, made when it is first asked for."""
    with _guard:
        if name not in _servers:
            _servers[name] = new_server()
        return _servers[name]


def forget_server(name: str) -> None:
    """Let the name stand for a new, empty server from now on; who uses the old one keeps it."""
    with _guard:
        _servers.pop(name, None)


def new_server() -> FakeServer:
    """Return a server without a name."""
    server = fakeredis.FakeServer(version=(7,))
    # Databases appear on first use, and two threads that come first would each get one of their own.
    server.dbs[0]
    return server


def name_in(url: str) -> str:
    """Return the name in ``fakeredis://name``.

    Raises `InvalidSetting` when there is none, or anything else besides.
    """
    split = urlsplit(url)
    name, rest = split.netloc, split.path.strip("/") or split.query or split.fragment
    if split.scheme != "fakeredis" or not name or "@" in name or rest:
        raise InvalidSetting("an in-process server is named as in fakeredis://ci: one word and nothing else")
    return name


def server_of(client: object) -> FakeServer:
    """Return the server behind a fakeredis client that the caller has, of either colour.

    Raises `InvalidArgument` for anything else.
    """
    if isinstance(client, redis.Redis | redis.asyncio.Redis):
        pool: Any = client.connection_pool
        server = pool.connection_kwargs.get("server")
        if isinstance(server, fakeredis.FakeServer):
            server.dbs[0]
            return server
    raise InvalidArgument(
        "client",
        type(client).__name__,
        "give a fakeredis client made with server=FakeServer(), or fakeredis://name",
    )
