"""A cluster: the node that serves the slot of one namespace, and following it when it moves."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from redis.crc import key_slot

from comity.errors import BackendUnavailable
from comity_redis import lookup
from comity_redis.packing import pack
from comity_redis.places import shown
from comity_redis.route import Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from comity_redis.address import Address
    from comity_redis.frame import Frame
    from comity_redis.keys import Keys
    from comity_redis.replies import ErrorReply

_FRESH: Final = 0.05
"""Seconds for which what a node told serves all: many connections break at the same moment."""
_LEAST: Final = 0.2
"""Seconds that a node is given at least, before the next one is asked."""
_MOST_NODES: Final = 64
"""Nodes remembered: enough to find the others whichever have gone."""
_SLOTS: Final = pack("CLUSTER", "SLOTS")
_POINTER = re.compile(r"\b(?P<kind>MOVED|ASK) (?P<slot>\d+) (?P<host>\S*):(?P<port>\d+)")


class ClusterRoute(Route):
    """The way to the node that serves a namespace's slot.

    A node that does not serve it says so to every step, and points to the one that does; the map of the cluster is
    only asked for at first and when a node is lost.
    """

    def __init__(self, address: Address, seeds: Sequence[Address], keys: Keys, frame: Frame | None) -> None:
        """Take how to log in to any node, some of the nodes, and the namespace's keys."""
        super().__init__(address, frame)
        self.slot: int = key_slot(keys.prefix.encode())
        self.signpost = f"{keys.prefix}moved".encode()
        self.where = shown("cluster", address, [seed.place for seed in seeds])
        self._template = address
        self._nodes: dict[tuple[str, int], None] = dict.fromkeys(seed.place for seed in seeds)
        self._told_at = float("-inf")
        self._known = False

    def _find(self, deadline: float, step: str) -> Address:
        if not self._known and time.monotonic() - self._told_at > _FRESH:
            self._told(lookup.perform(self._plan(deadline, step), deadline, step))
        return self.address

    async def _afind(self, deadline: float, step: str) -> Address:
        if not self._known and time.monotonic() - self._told_at > _FRESH:
            self._told(await lookup.aperform(self._plan(deadline, step), deadline, step))
        return self.address

    def _plan(self, deadline: float, step: str) -> lookup.Plan[tuple[str, int]]:
        """Ask one node after another for the map; remember all that are on it."""
        failed = ""
        places = list(self._nodes)
        for number, place in enumerate(places):
            node = self._template.at(*place)
            share = max(_LEAST, (deadline - time.monotonic()) / (len(places) - number))
            try:
                shards = yield lookup.Question(node, _SLOTS, share)
            except BackendUnavailable as error:
                failed = failed or error.why
                continue
            owner = None
            for first, last, *members in shards:
                found = [at for member in members if (at := _at(member, place))]
                self._remember(found)
                if first <= self.slot <= last and found:
                    owner = found[0]
            if owner is not None:
                return owner
            failed = f"no node serves slot {self.slot}"
        raise BackendUnavailable(self.where, failed or "no node answered", step=step)

    def _remember(self, places: Iterable[tuple[str, int]]) -> None:
        for place in places:
            if len(self._nodes) < _MOST_NODES:
                self._nodes.setdefault(place)

    def _told(self, place: tuple[str, int]) -> None:
        self._told_at, self._known = time.monotonic(), True
        if not self.version or place != self.address.place:
            self._lead_to(self._template.at(*place))

    def lost(self, address: Address | None = None) -> None:
        super().lost(address)
        self._known = False
        if address is not None and self._nodes.pop(address.place, 0) is None:
            self._nodes.setdefault(address.place)  # to be asked last

    def pointed(self, error: ErrorReply) -> tuple[Address, bool] | None:
        match = _POINTER.search(str(error))
        if match is None:
            return None
        place = (match["host"].strip("[]") or self.address.place[0], int(match["port"]))
        self._remember([place])
        if match["kind"] == "ASK":
            return self._template.at(*place), False
        self._told(place)
        return self.address, True


def _at(member: list[Any], asked: tuple[str, int]) -> tuple[str, int] | None:
    """Return host and port of a node on the map; an unnamed host is the one that was asked."""
    host = member[0].decode() if member[0] else asked[0]
    return None if host == "?" else (host, int(member[1]))
