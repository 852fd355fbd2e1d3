"""Where a run takes place: a store, how each actor reaches it, and what can befall it as a whole."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING, Any, Protocol

import redis

from tests.processes.runs.kinds import LOSING, Kind
from tests.processes.runs.mischief import CLOCK_KEY
from tests.processes.runs.proxy import Proxies, Proxy
from tests.servers import Server, binary
from tests.topologies import ClusterGroup, SentinelGroup

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

_PROCESS = {Kind.KILL: 4.0, Kind.STOP: 3.0, Kind.STOP_LONG: 2.0, Kind.FORK: 2.0, Kind.INTERRUPT: 8.0}
_LINK = {
    Kind.REPLY_LOST: 5.0,
    Kind.REPLY_SILENT: 2.0,
    Kind.REQUEST_LOST: 5.0,
    Kind.DELAY: 3.0,
    Kind.HALF_OPEN: 2.0,
    Kind.RESET: 4.0,
    Kind.BLACKHOLE: 2.0,
}


class Site(Protocol):
    """A store with its address and its faults."""

    direct: str
    """Its URL for the run itself, which nothing befalls."""
    loses: float
    """The chance of a loss at the seam, where nothing can be lost on the way."""
    between_steps: bool
    shim: bool

    def url(self, actor: str) -> str:
        """Return the URL for an actor."""

    def kinds(self, *, losing: bool) -> dict[Kind, float]:
        """Return what can befall it or its clients, with weights."""

    def strike(self, kind: Kind, victim: str, chance: random.Random) -> dict[str, Any]:
        """Let a fault of the store or of a link befall it, and be over; tell what there is to know of it."""

    def catch_up(self) -> None:
        """Let its clock stand where it stood at the furthest: what comes due has come due."""

    def close(self) -> None: ...


class Clock:
    """By how many seconds the store's clock is ahead, and was at most."""

    def __init__(self, put: Callable[[int], object]) -> None:
        self._put, self._ahead, self._most = put, 0, 0

    def step(self, chance: random.Random) -> dict[str, Any]:
        """Step on, or back to where it began."""
        step = chance.choice([1, 5, 60]) if not self._ahead or chance.random() < 0.5 else -self._ahead
        self._set(self._ahead + step)
        return {"seconds": step}

    def catch_up(self) -> None:
        """Step on to where it was at the furthest."""
        if self._ahead < self._most:
            self._set(self._most)

    def _set(self, ahead: int) -> None:
        self._ahead, self._most = ahead, max(ahead, self._most)
        self._put(ahead)


class SqliteSite:
    """A file."""

    loses, between_steps, shim = 0.01, True, True

    def __init__(self, folder: Path) -> None:
        self._clock = Clock(lambda ahead: (folder / CLOCK_KEY).write_text(str(ahead).ljust(32)))
        self.direct = f"sqlite:///{folder / 'comity.db'}"

    def url(self, actor: str) -> str:
        del actor
        return self.direct

    def kinds(self, *, losing: bool) -> dict[Kind, float]:
        return {**_PROCESS, Kind.CLOCK: 0.0 if losing else 1.0}

    def strike(self, kind: Kind, victim: str, chance: random.Random) -> dict[str, Any]:
        del kind, victim
        return self._clock.step(chance)

    def catch_up(self) -> None:
        self._clock.catch_up()

    def close(self) -> None:
        """Leave the file to be looked at."""


class RedisSite:
    """One server that writes down everything at once, behind a proxy for each actor."""

    loses, between_steps, shim = 0.0, False, True

    def __init__(self, version: str) -> None:
        options = ["appendonly", "yes", "appendfsync", "always", "auto-aof-rewrite-percentage", "0"]
        self._server = Server(binary(version), options)
        self.direct = self._server.url
        self._proxies = Proxies(("127.0.0.1", self._server.port))
        self._of: dict[str, Proxy] = {}
        self._clock = Clock(self._set_clock)
        self._strikes: dict[Kind, Callable[[random.Random], dict[str, Any]]] = {
            Kind.CLIENT_KILL: self._kill_clients,
            Kind.SCRIPT_FLUSH: self._flush_scripts,
            Kind.RESTART: self._restart,
            Kind.CLOCK: self._clock.step,
            Kind.RESTART_EMPTY: self._restart_empty,
            Kind.FLUSHALL: self._flush,
            Kind.EVICTION: self._evict,
        }

    def url(self, actor: str) -> str:
        if actor not in self._of:
            self._of[actor] = self._proxies.open()
        return self._of[actor].url

    def kinds(self, *, losing: bool) -> dict[Kind, float]:
        store = {Kind.CLIENT_KILL: 2.0, Kind.SCRIPT_FLUSH: 3.0, Kind.RESTART: 1.0}
        # A clock that is set back just when the data is lost would let tokens start anew from the past (L2).
        store |= dict.fromkeys(sorted(LOSING & {*self._strikes}), 0.4) if losing else {Kind.CLOCK: 1.0}
        return {**_PROCESS, **_LINK, **store}

    def strike(self, kind: Kind, victim: str, chance: random.Random) -> dict[str, Any]:
        if kind in self._strikes:
            return self._strikes[kind](chance)
        return strike_link(self._of[victim], kind, chance)

    def _kill_clients(self, _: random.Random) -> dict[str, Any]:
        with self._server.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        return {}

    def _flush_scripts(self, _: random.Random) -> dict[str, Any]:
        with self._server.client() as client:
            client.script_flush()
        return {}

    def _restart(self, chance: random.Random) -> dict[str, Any]:
        self._server.kill()
        time.sleep(chance.uniform(0.0, 0.5))
        self._server.start()
        return {}

    def _set_clock(self, ahead: int) -> None:
        with self._server.client() as client:
            client.set(CLOCK_KEY, ahead)

    def catch_up(self) -> None:
        self._clock.catch_up()

    def _restart_empty(self, chance: random.Random) -> dict[str, Any]:
        self._server.kill()
        for path in self._server.folder.glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        time.sleep(chance.uniform(0.0, 0.3))
        self._server.start()
        return {}

    def _flush(self, _: random.Random) -> dict[str, Any]:
        with self._server.client() as client:
            client.flushall()
        return {}

    def _evict(self, chance: random.Random) -> dict[str, Any]:
        """Let the server throw out some of the keys, and then have room again."""
        del chance
        with self._server.client() as client:
            before = client.dbsize()
            client.config_set("maxmemory-policy", "allkeys-random")
            client.config_set("maxmemory", max(client.info("memory")["used_memory"] - 10_000, 1))
            time.sleep(0.02)
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "noeviction")
            return {"keys": [before, client.dbsize()]}

    def close(self) -> None:
        self._proxies.close()
        self._server.close()


class SentinelSite:
    """A primary, two replicas and three Sentinels; messages are lost at the seam."""

    loses, between_steps, shim = 0.005, False, False

    def __init__(self, version: str) -> None:
        self._group = SentinelGroup(version)
        self._group.settle()
        self.direct = self._group.url

    def url(self, actor: str) -> str:
        del actor
        return self.direct

    def kinds(self, *, losing: bool) -> dict[Kind, float]:
        store = {Kind.CLIENT_KILL: 2.0, Kind.SCRIPT_FLUSH: 2.0}
        return {**_PROCESS, **store, **({Kind.FAIL_OVER: 0.5} if losing else {})}

    def strike(self, kind: Kind, victim: str, chance: random.Random) -> dict[str, Any]:
        del victim, chance
        if kind is Kind.FAIL_OVER:
            self._group.settle()
            self._group.fail_over()
            self._group.settle()  # until then there may be two that take writes
            return {}
        with self._group.primary.client() as client:
            _plain(kind, client)
        return {}

    def catch_up(self) -> None:
        """Its clock is the machine's."""

    def close(self) -> None:
        self._group.close()


class ClusterSite:
    """Three primaries; the run's namespace moves between them."""

    loses, between_steps, shim = 0.005, False, False

    def __init__(self, version: str, namespace: str) -> None:
        self._group, self._namespace = ClusterGroup(version), namespace
        self.direct = self._group.url

    def url(self, actor: str) -> str:
        del actor
        return self.direct

    def kinds(self, *, losing: bool) -> dict[Kind, float]:
        del losing
        store = {Kind.CLIENT_KILL: 2.0, Kind.SCRIPT_FLUSH: 2.0, Kind.SLOT_MOVE: 2.0, Kind.NODE_RESTART: 0.5}
        return {**_PROCESS, **store}

    def strike(self, kind: Kind, victim: str, chance: random.Random) -> dict[str, Any]:
        del victim, chance
        group, namespace = self._group, self._namespace
        if kind is Kind.SLOT_MOVE:
            group.move(namespace, group.another(namespace))
        elif kind is Kind.NODE_RESTART:
            group.owner(namespace).restart()
            group.settle()
        else:
            for node in group.alive:
                with node.client() as client:
                    _plain(kind, client)
        return {}

    def catch_up(self) -> None:
        """Its clock is the machine's."""

    def close(self) -> None:
        self._group.close()


def _plain(kind: Kind, client: Any) -> None:
    if kind is Kind.SCRIPT_FLUSH:
        client.script_flush()
        return
    with contextlib.suppress(redis.RedisError):
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def strike_link(proxy: Proxy, kind: Kind, chance: random.Random) -> dict[str, Any]:
    """Let a fault befall an actor's way to the server, and be over."""
    seconds = 0.0
    if kind is Kind.RESET:
        proxy.reset()
    elif kind is Kind.HALF_OPEN:
        proxy.half_open()
    elif kind is Kind.DELAY:
        seconds = chance.uniform(0.2, 1.0)
        proxy.delay(chance.uniform(0.01, 0.2))
        time.sleep(seconds)
        proxy.delay(0.0)
    elif kind is Kind.BLACKHOLE:
        seconds = chance.choice([0.3, 1.0, 3.0])
        proxy.blackhole(on=True)
        time.sleep(seconds)
        proxy.blackhole(on=False)
    else:
        if kind is Kind.REQUEST_LOST:
            proxy.lose_request()
        else:
            proxy.lose_reply(silently=kind is Kind.REPLY_SILENT)
        time.sleep(0.3)
        proxy.disarm()
    return {"seconds": round(seconds, 3)} if seconds else {}


def open_site(store: str, folder: Path, namespace: str) -> Site:
    """Start what a run takes place on: ``sqlite``, ``redis 7.0``, ``sentinel 7.0``, ``cluster 7.0``."""
    kind, _, version = store.partition(" ")
    version = version or "7.0"
    if kind == "sqlite":
        return SqliteSite(folder)
    if kind == "redis":
        return RedisSite(version)
    return SentinelSite(version) if kind == "sentinel" else ClusterSite(version, namespace)
