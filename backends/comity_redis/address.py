"""Where a server is and how to be let in: from a URL, or from a client the caller already has.

Timeouts, retries, health checks, protocol version and decoding are ours: those of a URL or client
are left behind. A client's pool is never used.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.connection import parse_url

from comity.errors import InvalidArgument, InvalidSetting
from comity_redis.redis_py import COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity_redis.redis_py import AsyncClass, SyncClass

    Classes = tuple[SyncClass | None, AsyncClass | None]

C = TypeVar("C", bound=type)

LEFT_BEHIND = frozenset({
    "retry", "retry_on_timeout", "retry_on_error", "health_check_interval", "max_connections", "timeout",
    "protocol", "legacy_responses", "decode_responses", "encoding", "encoding_errors", "encoder_class",
    "parser_class", "command_packer", "socket_timeout", "socket_connect_timeout", "socket_read_size",
    "event_dispatcher", "driver_info", "lib_name", "lib_version", "cache", "cache_config",
    "himport_registry", "maint_notifications_config", "maint_notifications_pool_handler",
    "maintenance_state", "maintenance_notification_hash", "orig_host_address", "orig_socket_timeout",
    "orig_socket_connect_timeout", "oss_cluster_maint_notifications_handler",
})  # fmt: skip
"""Options of redis-py that are recognised and not taken over."""

LOGIN = ("username", "password", "credential_provider", "db", "client_name")
"""Options that belong to the handshake, which is ours."""


class Address:
    """A server's address, credentials and redis-py connection classes. Shows no password.

    `where` is the address for errors and logs: ``redis://localhost:6379/0``.
    """

    __slots__ = ("_async_class", "_class", "login", "options", "primary", "where")

    def __init__(self, classes: Classes, options: Mapping[str, Any]) -> None:
        """Take the connection classes per colour (None: there is none) and redis-py's options."""
        self._class, self._async_class = classes
        kept = {
            name: value
            for name, value in options.items()
            if name not in LEFT_BEHIND and (value is not None or name == "ssl_cert_reqs")
        }
        if "redis_connect_func" in kept:  # the caller's own handshake needs all of it
            self.login: dict[str, Any] = {}
        else:
            self.login = {name: kept.pop(name) for name in LOGIN if name in kept}
        self.options: dict[str, Any] = kept
        self.primary = False
        """Whether a connection is only good while the server there is a primary, which the handshake asks."""
        self.where = _shown(classes, options)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read a ``redis://``, ``rediss://`` or ``unix://`` URL with redis-py's query options.

        Raises `InvalidSetting` for a URL or option that cannot be used; the text shows no part of
        the URL that could be a password.
        """
        scheme = url.partition("://")[0]
        try:
            split = urlsplit(url)
            options = cast("Any", parse_url)(url)
            port, path = split.port, split.path.strip("/")
        except ValueError:
            raise InvalidSetting(
                "the URL of Redis cannot be read; write redis://[user:password@]host[:port][/db], "
                "rediss://... or unix:///path, with / : @ # ? of a password percent-encoded",
            ) from None
        found = options.pop("connection_class", redis.Connection)
        if scheme != "unix" and path and not path.isdecimal():
            raise InvalidSetting(
                "the database in a redis:// URL is a number, as in redis://host:6379/0; "
                "percent-encode / : @ # ? of a password",
            )
        if scheme == "unix" and not options.get("path"):
            raise InvalidSetting("a unix:// URL needs the path of a socket: unix:///run/redis.sock")
        if port == 0:
            raise InvalidSetting("port 0 cannot be connected to")
        pair = next(pair for pair in COLOURS if pair[0] is found)
        known = accepted(pair[0]) | LEFT_BEHIND
        for name in options:
            if name not in known:
                offered = ", ".join(sorted(known - LEFT_BEHIND - {"redis_connect_func"}))
                raise InvalidSetting(f"option {name!r} of the URL is not known; known: {offered}")
        return cls(pair, options)

    @classmethod
    def of(cls, client: object) -> Address:
        """Take the address from a `redis.Redis` or `redis.asyncio.Redis`, whichever the colour here.

        Raises `InvalidArgument` for anything else: for clients of Sentinels and clusters see `clients`; in-process
        fakes, and connection classes of the caller's own, are not (all) supported.
        """
        if not isinstance(client, redis.Redis | redis.asyncio.Redis):
            raise InvalidArgument("client", type(client).__name__, "give a redis.Redis, a redis.asyncio.Redis or a URL")
        pool = cast("Any", client).connection_pool
        found, options = pool.connection_class, dict(pool.connection_kwargs)
        if "connection_pool" in options or found.__module__.partition(".")[0] == "fakeredis":
            raise InvalidArgument(
                "client",
                f"{type(client).__name__} with {found.__name__}",
                "give a client of the server itself, or a URL",
            )
        if options.get("redis_connect_func") is None:
            for pair in COLOURS:
                if found in pair:
                    return cls(pair, options)
        is_async = isinstance(client, redis.asyncio.Redis)
        return cls((None, found) if is_async else (found, None), options)

    def at(self, host: str, port: int, *, primary: bool = False) -> Address:
        """Return the address of another server that lets the same user in, in the same way."""
        classes = (self._class, self._async_class)
        there = Address(classes, {**self.options, **self.login, "host": host, "port": port})
        there.primary = primary
        return there

    def known_as(self, login: Mapping[str, Any]) -> Address:
        """Return the same address for another user; `login` as in redis-py's options."""
        return Address((self._class, self._async_class), {**self.options, **login})

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        return str(self.options.get("host") or "localhost"), int(self.options.get("port") or 6379)

    def sync_class(self) -> tuple[SyncClass, dict[str, Any]]:
        """Return the blocking connection class and its options."""
        return _usable(self._class, self.options, "blocking")

    def async_class(self) -> tuple[AsyncClass, dict[str, Any]]:
        """Return the asyncio connection class and its options."""
        return _usable(self._async_class, self.options, "asyncio")

    def __repr__(self) -> str:
        return f"<Address {self.where}>"

    __str__ = __repr__


def _usable(found: C | None, options: dict[str, Any], colour: str) -> tuple[C, dict[str, Any]]:
    if found is None:
        raise InvalidArgument(
            "client",
            "a client with its own connection class or connect function",
            f"it has no {colour} twin: give a URL",
        )
    if all(found not in pair for pair in COLOURS):
        return found, options
    known = accepted(found)
    if refused := sorted(name for name in set(options) - known if options[name]):
        raise InvalidArgument("client", ", ".join(refused), f"redis-py's {colour} connections do not have this option")
    return found, {name: value for name, value in options.items() if name in known}


def accepted(found: type) -> frozenset[str]:
    """Return the options that a connection class takes, its base classes' included."""
    names: set[str] = set()
    for base in found.__mro__:
        if "__init__" in vars(base):
            names |= set(inspect.signature(vars(base)["__init__"]).parameters)
    return frozenset(names - {"self", "args", "kwargs"})


def _shown(classes: Classes, options: Mapping[str, Any]) -> str:
    db = options.get("db") or 0
    if path := options.get("path"):
        return f"unix://{path}?db={db}"
    host = str(options.get("host") or "localhost")
    host = f"[{host}]" if ":" in host else host
    scheme = "rediss" if any(name.startswith("ssl_") for name in options) or classes[0] is COLOURS[1][0] else "redis"
    return f"{scheme}://{host}:{options.get('port') or 6379}/{db}"
