"""Redis as people run it, on loopback: Sentinels with a primary and its replicas, and a cluster.

Each is slow to start (some 2 s, which Redis takes on purpose), so tests share one per version and leave it
as they found it: `settle` waits until it is whole again.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import redis
from redis.crc import key_slot

from comity_redis import RedisBackend
from tests.servers import DEFAULT_VERSION, Server, binary, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest

    from comity.testing.kit.stage import MakeBackend
    from tests.certificates import Certificates
    from tests.servers import Servers

SERVICE = "main"
_CALM, _HASTY = 10_000, 300
"""Milliseconds of silence after which a Sentinel takes a server for dead: on a busy machine, and where one is."""
_BUS = 10_000
_SLOTS = 16384


class Sentinel(Server):
    """A Sentinel. It writes what it learns into its configuration, so there is a file."""

    def __init__(self, program: str, primary: Server, extra: Sequence[str] = ()) -> None:
        self._primary, self._lines = primary, extra
        super().__init__(program, tls=primary.tls)

    def command(self) -> list[str]:
        file = self.folder / "sentinel.conf"
        if not file.exists():
            watched = f"sentinel monitor {SERVICE} 127.0.0.1 {self._primary.port} 2"
            timing = (f"down-after-milliseconds {SERVICE} {_CALM}", f"failover-timeout {SERVICE} 1500")
            words = [*self.ports(), "bind", "127.0.0.1", "dir", str(self.folder)]
            lines = [f"{name} {value}" for name, value in zip(words[::2], words[1::2], strict=True)] + [watched]
            lines += [f"sentinel {each}" for each in (*timing, f"parallel-syncs {SERVICE} 2")]
            file.write_text("\n".join([*lines, *self._lines]) + "\n", encoding="utf-8")
        return [self._binary, str(file), "--sentinel"]

    def told(self) -> dict[str, str]:
        """Return what it knows of the primary."""
        with self.client() as client:
            flat: Any = client.execute_command("SENTINEL MASTER", SERVICE)
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return {_text(name): _text(value) for name, value in pairs}


class SentinelGroup:
    """Three Sentinels, a primary and two replicas."""

    def __init__(
        self,
        version: str = DEFAULT_VERSION,
        *,
        options: Sequence[str] = (),
        extra: Sequence[str] = (),
        tls: Certificates | None = None,
    ) -> None:
        """Start them; `options` are those of the servers, `extra` lines for the Sentinels."""
        program = binary(version)
        self.sentinels: list[Sentinel] = []
        options = ["repl-diskless-sync-delay", "0", *options]
        self.servers = [Server(program, options, tls=tls)]
        try:
            self.servers += [Server(program, options, tls=tls) for _ in range(2)]
            for server in self.servers[1:]:
                _follow(server, self.servers[0])
            self.sentinels += [Sentinel(program, self.servers[0], extra) for _ in range(3)]
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The address as a URL."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        tls = self.servers[0].tls
        return f"rediss+sentinel://{hosts}/{SERVICE}?{tls.query}" if tls else f"redis+sentinel://{hosts}/{SERVICE}"

    @property
    def primary(self) -> Server:
        """The server that most Sentinels call the primary."""
        if not self.sentinels:
            return self.servers[0]
        ports = Counter(
            int(each.told()["port"]) for each in self.sentinels
        )  # one may be behind, for half a minute even
        return next(each for each in self.servers if each.port == ports.most_common(1)[0][0])

    @property
    def replicas(self) -> list[Server]:
        """The other servers."""
        primary = self.primary
        return [each for each in self.servers if each is not primary]

    def settle(self) -> None:
        """Wait until everybody is there, and knows everybody else."""
        for server in self.servers:
            server.revive()
        until(lambda: self.primary.runs, "a server that runs is the primary")
        for server in self.replicas:
            _follow(server, self.primary)  # the Sentinels would do so in some 10 s
        until(lambda: all(_whole(each.told()) for each in self.sentinels), "the Sentinels know each other")
        until(self._agreed, "there is one primary with two replicas that are up to date")

    def _agreed(self) -> bool:
        primary = self.primary
        if any(each.told()["port"] != str(primary.port) for each in self.sentinels):
            return False
        with primary.client() as client:
            facts: Any = client.info("replication")
        if facts["role"] != "master" or facts["connected_slaves"] != len(self.servers) - 1:
            return False
        return all(facts[f"slave{number}"]["state"] == "online" for number in range(len(self.servers) - 1))

    def fail_over(self) -> Server:
        """Kill the primary; return the one that the Sentinels made of a replica."""
        old = self.primary
        with self.hasty():
            old.kill()
            return self.await_another(old)

    @contextlib.contextmanager
    def hasty(self) -> Iterator[None]:
        """Have the Sentinels take a server for dead soon."""
        self._set_down_after(_HASTY)
        yield
        self._set_down_after(_CALM)

    def _set_down_after(self, milliseconds: int) -> None:
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                client.execute_command("SENTINEL", "SET", SERVICE, "down-after-milliseconds", milliseconds)

    def await_another(self, old: Server) -> Server:
        """Wait until another than `old` is the primary, in fact and by most Sentinels' word; return it."""
        until(lambda: self.primary is not old, "another server took over")
        new = self.primary
        with new.client() as client:
            until(lambda: client.info("replication")["role"] == "master", "it knows itself")
        return new

    def close(self) -> None:
        """End all."""
        for each in (*self.sentinels, *self.servers):
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WaitingGroup(SentinelGroup):
    """The same, and a URL that has both replicas confirm what is granted."""

    @property
    def url(self) -> str:
        return f"{super().url}?wait_replicas=2"


class ClusterGroup:
    """Three primaries that share the slots, and a replica of the first where that is asked for."""

    def __init__(
        self,
        version: str = DEFAULT_VERSION,
        *,
        options: Sequence[str] = (),
        replicas: int = 0,
        tls: Certificates | None = None,
    ) -> None:
        """Start them and wait until they serve every slot."""
        program = binary(version)
        usual = ["cluster-enabled", "yes", "cluster-node-timeout", "1000", "cluster-replica-validity-factor", "0"]
        usual += ["cluster-require-full-coverage", "no", "repl-diskless-sync-delay", "0", "appendonly", "yes"]
        self.nodes: list[Server] = []
        try:
            for _ in range(3 + replicas):
                self.nodes.append(Node(program, [*usual, *options], tls=tls))
            self._join()
        except BaseException:
            self.close()
            raise

    def _join(self) -> None:
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                if number < 3:
                    mine = range(_SLOTS * number // 3, _SLOTS * (number + 1) // 3)
                    client.execute_command("CLUSTER", "ADDSLOTS", *mine)
                if number:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", first.port)
        until(lambda: all(self._serves(node) for node in self.nodes), "the cluster serves")
        for node in self.nodes[3:]:
            with node.client() as client:
                client.execute_command("CLUSTER", "REPLICATE", self.id(first))
            until(lambda: self._follows(node), "the replica follows")  # noqa: B023 - at once

    @staticmethod
    def _serves(node: Server) -> bool:
        with node.client() as client:
            state: Any = client.execute_command("CLUSTER INFO")
            shards: Any = client.execute_command("CLUSTER SLOTS")
        text = state if isinstance(state, bytes) else state["cluster_state"].encode()
        return len(shards) >= 3 and (text == b"ok" or b"cluster_state:ok" in text)

    @staticmethod
    def _follows(node: Server) -> bool:
        with node.client() as client:
            facts: Any = client.info("replication")
        return bool(facts["role"] == "slave" and facts["master_link_status"] == "up")

    @property
    def url(self) -> str:
        """The address as a URL, of two of the nodes."""
        hosts, tls = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2]), self.nodes[0].tls
        return f"rediss+cluster://{hosts}?{tls.query}" if tls else f"redis+cluster://{hosts}"

    @staticmethod
    def id(node: Server) -> str:
        """Return how the cluster calls a node."""
        with node.client() as client:
            return _text(client.execute_command("CLUSTER", "MYID"))

    @staticmethod
    def slot(namespace: str) -> int:
        """Return the slot of a namespace whose name is plain."""
        return key_slot(f"comity:{{{namespace}}}:".encode())

    def owner(self, namespace: str) -> Server:
        """Return the node that serves a namespace."""
        slot = self.slot(namespace)
        with self.alive[0].client() as client:
            shards: Any = client.execute_command("CLUSTER", "SLOTS")
        for first, last, (_, port, *_rest), *_replicas in _rows(shards):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody serves {namespace}")

    def await_owner(self, namespace: str, node: Server) -> None:
        """Wait until a node serves a namespace."""
        until(lambda: self.owner(namespace) is node, "the node serves")

    @property
    def alive(self) -> list[Server]:
        """The nodes that run."""
        return [node for node in self.nodes if node.runs]

    def another(self, namespace: str) -> Server:
        """Return a primary that does not serve a namespace."""
        owner = self.owner(namespace)
        return next(node for node in self.nodes[:3] if node is not owner)

    @contextlib.contextmanager
    def moving(self, namespace: str, target: Server) -> Iterator[Callable[[], None]]:
        """Move a namespace's slot: open at both ends meanwhile; what is given moves the keys that are there."""
        slot, source = self.slot(namespace), self.owner(namespace)
        with source.client() as here, target.client() as there:
            there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id(source))
            here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id(target))

            def migrate() -> None:
                while keys := here.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                    where = ("127.0.0.1", target.port, "", 0, 5000)
                    here.execute_command("MIGRATE", *where, "KEYS", *keys)

            yield migrate
            migrate()
            for node in (target, source, *self.nodes[:3]):
                with node.client() as client:
                    client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.id(target))

    def move(self, namespace: str, target: Server) -> None:
        """Move a namespace to another node."""
        with self.moving(namespace, target):
            pass

    def settle(self) -> None:
        """Wait until every node is there and serves."""
        for node in self.nodes:
            node.revive()
        until(lambda: all(self._serves(node) for node in self.nodes), "the cluster serves")

    def close(self) -> None:
        """End all."""
        for node in self.nodes:
            node.close()


Group = SentinelGroup | ClusterGroup
GROUPS: dict[str, type[Group]] = {"sentinel": SentinelGroup, "waiting": WaitingGroup, "cluster": ClusterGroup}
ON_TLS = ["tls 7.0", "tls sentinel 7.0", "tls cluster 7.0"]
"""The servers of other versions that the tests find are built without TLS."""


def opener(request: pytest.FixtureRequest) -> MakeBackend:
    """Return what opens namespaces on the shared servers a parameter names: ``cluster 8.2``, ``tls sentinel 7.0``."""
    *words, version = request.param.split()
    servers: Servers = request.getfixturevalue("redis_servers")
    tls = request.getfixturevalue("certificates") if "tls" in words else None
    kind = GROUPS.get(words[-1])
    url = servers.group(kind, version, tls).url if kind else servers.shared(version, tls).url
    return lambda namespace: RedisBackend.from_url(url, namespace)


class Node(Server):
    """A node of a cluster: its second port, for the others, is a fixed number further."""

    def new_port(self) -> int:
        while True:
            port = free_port()
            if port + _BUS < 2**16:
                with contextlib.suppress(OSError), socket.socket() as sock:
                    sock.bind(("127.0.0.1", port + _BUS))
                    return port


def until(condition: Callable[[], object], what: str, within: float = 60.0) -> None:
    """Wait until a condition holds that nothing tells of."""
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(redis.RedisError, OSError):
            if condition():
                return
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.01)


def _follow(server: Server, primary: Server) -> None:
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)


def _whole(told: dict[str, str]) -> bool:
    counts = (told["num-slaves"], told["num-other-sentinels"], told["flags"])
    return counts == ("2", "2", "master")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _rows(shards: Any) -> list[Any]:
    """Read CLUSTER SLOTS as redis-py gives it."""
    if isinstance(shards, dict):
        return [[*span, [at["primary"][0], at["primary"][1]]] for span, at in shards.items()]
    return list(shards)
