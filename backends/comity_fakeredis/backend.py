"""The in-process backend: the Redis adapter, its scripts included, on a server in this process's memory."""

from __future__ import annotations

from typing import ClassVar, Self

from comity.errors import InvalidArgument
from comity.ports import Capability
from comity_fakeredis.runner import FakeRunner
from comity_fakeredis.servers import name_in, named_server, server_of
from comity_redis.backend import RedisBackend


class FakeRedisBackend(RedisBackend):
    """One namespace of an in-process server: ``fakeredis://name``, shared by all that say this name.

    For CI and tests. Nothing of it is seen by another process or outlives this one.
    """

    capabilities = frozenset({Capability.PUSH})
    in_process: ClassVar[bool] = True

    @classmethod
    def from_url(cls, url: str, namespace: str) -> Self:
        """Make the backend of a ``fakeredis://name`` URL. Raises `InvalidSetting` for any other."""
        return cls(FakeRunner(named_server(name_in(url)), url), namespace)

    @classmethod
    def from_client(cls, client: object, namespace: str) -> Self:
        """Make the backend of the server of a fakeredis client. Raises `InvalidArgument` for any other."""
        return cls(FakeRunner(server_of(client)), namespace)

    @classmethod
    def accepts(cls, client: object) -> bool:
        """Tell whether `from_client` takes this object."""
        try:
            server_of(client)
        except InvalidArgument:
            return False
        return True
