"""Where a backend is, in the words of the conventions for databases."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from comity import Backend

_SYSTEMS = {"redis": "redis", "rediss": "redis", "unix": "redis", "fakeredis": "redis", "sqlite": "sqlite"}
"""Other schemes, of other people's backends, stand for themselves."""


def place_of(backend: Backend) -> dict[str, str | int]:
    """Return ``db.*`` and ``server.*`` of a backend. A namespace of Comity is a container in a database: a collection.

    `Backend.url` has no password. Of Sentinels and clusters, which are several servers, no address is told; of SQLite
    no path.
    """
    scheme, plus, _ = backend.url.partition("://")[0].partition("+")
    place: dict[str, str | int] = {
        "db.system.name": _SYSTEMS.get(scheme, scheme),
        "db.collection.name": backend.namespace,
    }
    try:
        parts = urlsplit(backend.url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return place
    if scheme in ("redis", "rediss") and not plus:
        place["db.namespace"] = parts.path.strip("/") or "0"
        if host:
            place["server.address"], place["server.port"] = host, port or 6379
    elif scheme == "unix":
        place["server.address"] = parts.path
    return place
