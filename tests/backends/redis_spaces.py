"""One fresh namespace of a real or in-process server, with a plain client to look behind the ports."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import fakeredis
import pytest

from comity.testing.kit import Stage
from comity_fakeredis import FakeRedisBackend
from comity_fakeredis.servers import named_server
from comity_redis import RedisBackend
from comity_redis.keys import Keys
from tests.servers import DEFAULT_VERSION, REDIS_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Server, Servers

KINDS = (
    "fakeredis",
    DEFAULT_VERSION,
    *(pytest.param(version, marks=pytest.mark.slow) for version in REDIS_VERSIONS if version != DEFAULT_VERSION),
)
"""One server in the default run, every version in the slow one; what all of them promise is in ``tests/steps``."""
_NAME = "spaces"


class Space(NamedTuple):
    """A namespace: steps are performed on `stage`, bytes are looked at through `client`."""

    stage: Stage
    client: Any
    """A plain `redis.Redis`; its stubs cannot tell bytes from text."""
    keys: Keys

    def lose(self, *names: str) -> None:
        """Take whole keys away, as a server does that evicts."""
        self.client.delete(*(self.keys[name] for name in names))

    def left(self) -> dict[str, Any]:
        """Return what records are there, by key, but for those that are kept for a time on purpose."""
        kept = {"meta", "ended", "ids", "published", "topics", "cursors"}
        found: dict[str, Any] = {}
        for key in self.keys.all - {self.keys.topic("comity"), self.keys.topic("comity.state")}:
            name = key.removeprefix(self.keys.prefix)
            if name not in kept and self.client.exists(key):
                kind = self.client.type(key)
                records = self.client.hgetall(key) if kind == b"hash" else self.client.zrange(key, 0, -1)
                found[name] = records
        if [*found.get("locks", ())] == [b""]:
            del found["locks"]  # the last token alone
        return found


def opener(kind: str, servers: Servers) -> MakeBackend:
    """Return what opens a namespace on the shared server of this kind."""
    if kind == "fakeredis":
        return lambda name: FakeRedisBackend.from_url(f"fakeredis://{_NAME}", name)
    url = servers.shared(kind).url
    return lambda name: RedisBackend.from_url(url, name)


@contextlib.contextmanager
def client_of(kind: str, servers: Servers) -> Iterator[Any]:
    """Open a plain client of the shared server of this kind."""
    real = kind != "fakeredis"
    with servers.shared(kind).client() if real else fakeredis.FakeRedis(server=named_server(_NAME)) as client:
        yield client


@contextlib.contextmanager
def space(kind: str, servers: Servers) -> Iterator[Space]:
    """Open a namespace on a server of this kind, and drop it."""
    with client_of(kind, servers) as client, contextlib.ExitStack() as stack:
        stage = Stage(opener(kind, servers), "sync")
        stack.callback(stage.close)
        yield Space(stage, client, Keys(stage.namespace))
        stage.run(stage.backend.drop())


@contextlib.contextmanager
def on(server: Server, namespace: str = "alone") -> Iterator[Space]:
    """Open a namespace of a server that is the test's alone."""
    stage = Stage(lambda name: RedisBackend.from_url(server.url, name), "sync")
    with server.client() as client, contextlib.closing(stage):
        stage.backend = stage.another(namespace)
        yield Space(stage, client, Keys(namespace))
