"""What a redis-py client that the caller has knows of Sentinels and clusters; for one server see `Address.of`.

Only addresses and credentials are taken. The client's connections stay its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import redis
import redis.asyncio
import redis.asyncio.cluster

from comity.errors import InvalidArgument
from comity_redis.address import LOGIN, Address, accepted
from comity_redis.redis_py import COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN, _TLS, _ = COLOURS


class SentinelClient(NamedTuple):
    """A client from ``Sentinel.master_for``."""

    address: Address
    """How to log in to the primary, wherever it is."""
    sentinels: Sequence[Address]
    service: str


class ClusterClient(NamedTuple):
    """A `redis.RedisCluster` of either colour."""

    address: Address
    """How to log in to a node, whichever it is."""
    nodes: Sequence[Address]


def sentinel_client(client: object) -> SentinelClient | None:
    """Read a client that asks Sentinels, None when it does not. Raises `InvalidArgument` for one of replicas."""
    if not isinstance(client, redis.Redis | redis.asyncio.Redis):
        return None
    pool = cast("Any", client).connection_pool
    manager = getattr(pool, "sentinel_manager", None)
    if manager is None:
        return None
    if not pool.is_master:
        raise InvalidArgument("client", "a client of replicas", "give that of the primary: sentinel.master_for(...)")
    tls = issubclass(pool.connection_class, redis.SSLConnection | redis.asyncio.SSLConnection)
    options = {name: value for name, value in pool.connection_kwargs.items() if name != "connection_pool"}
    sentinels = [Address.of(each) for each in manager.sentinels]
    return SentinelClient(Address(_TLS if tls else _PLAIN, options), sentinels, pool.service_name)


def cluster_client(client: object) -> ClusterClient | None:
    """Read a client of a cluster, None when it is none."""
    if not isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster):
        return None
    manager: Any = client.nodes_manager
    given: dict[str, Any] = manager.connection_kwargs
    tls = bool(given.get("ssl")) or given.get("connection_class") is redis.asyncio.SSLConnection
    pair = _TLS if tls else _PLAIN
    known = accepted(pair[0]) | {*LOGIN}
    options = {name: value for name, value in given.items() if name in known and name not in {"host", "port"}}
    address = Address(pair, options)
    places = {(node.host, int(node.port)): None for node in manager.startup_nodes.values()}
    return ClusterClient(address, [address.at(*place) for place in places])
