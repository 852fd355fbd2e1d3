"""From a URL or a client to the way to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity_redis import places
from comity_redis.address import Address
from comity_redis.cluster import ClusterRoute
from comity_redis.frame import Frame
from comity_redis.route import Route
from comity_redis.sentinel import SentinelRoute

if TYPE_CHECKING:
    from comity_redis.keys import Keys


def route_to(url: str, keys: Keys) -> Route:
    """Return the way to the server that serves the namespace of `keys`, as a URL describes it.

    Raises `InvalidSetting` for a URL that cannot be used.
    """
    said = places.read(url)
    at = [said.address.at(*place) for place in said.places]
    if said.kind == "sentinel":
        sentinels = [each.known_as({"db": 0, "username": None, "password": None, **said.sentinel_login}) for each in at]
        frame = Frame(role=True, replicas=said.replicas, meta=keys["meta"])
        return SentinelRoute(said.address, sentinels, said.service, frame)
    waiting = Frame(replicas=said.replicas, meta=keys["meta"]) if said.replicas else None
    if said.kind == "cluster":
        return ClusterRoute(said.address, at, keys, waiting)
    return Route(said.address, waiting)


def route_from(client: object) -> Route:
    """Return the way to the server of a redis-py client of either colour. Raises `InvalidArgument` for any other."""
    return Route(Address.of(client))
