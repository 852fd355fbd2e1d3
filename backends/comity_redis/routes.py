"""From a URL or a client to the way to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity_redis import places
from comity_redis.address import Address
from comity_redis.clients import cluster_client, sentinel_client
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


def route_from(client: object, keys: Keys) -> Route:
    """Return the way to the server that a redis-py client of either colour talks to: one, or of Sentinels, or a node.

    Raises `InvalidArgument` for any other client.
    """
    if (watched := sentinel_client(client)) is not None:
        return SentinelRoute(watched.address, watched.sentinels, watched.service, Frame(role=True))
    if (nodes := cluster_client(client)) is not None:
        return ClusterRoute(nodes.address, nodes.nodes, keys, None)
    return Route(Address.of(client))
