"""Signals: from one session to the inbox of another, there until they are acknowledged (rules G1-G3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity._async.inbox import AsyncInbox, AsyncReader
from comity._colour._async import AsyncFlag
from comity.errors import InvalidArgument
from comity.model import NewSignal
from comity.names import check_name
from comity.payloads import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comity._async.inbox import AsyncSignal
    from comity._async.space import AsyncSpace
    from comity.model import Broadcast, SessionRef, SignalStatus

_SHORTEST_TTL, _LONGEST_TTL = 0.001, 30 * 86_400.0
_MOST = 1000


class AsyncSignals:
    """Send signals to other sessions, and read one's own inbox.

    An inbox belongs to the agent id: signals wait there, across incarnations and restarts, until they are
    acknowledged or expire. Delivery is at least once: a reader that ends before it acknowledges gets them again.
    """

    def __init__(self, space: AsyncSpace, track: Callable[[AsyncInbox], None]) -> None:
        self._space, self._track = space, track
        self._reader = AsyncReader(space)

    async def send(
        self,
        to: str,
        type: str,  # noqa: A002 - what it is called everywhere
        data: Any = None,
        *,
        ttl: float = 300.0,
        allow_offline: bool = False,
    ) -> str:
        """Put a signal into the inbox of `to` and return its id; the recipient is woken by the same step.

        `data` is anything JSON holds, up to 256 KiB. It expires after `ttl` seconds unless it is acknowledged.
        With `allow_offline` the recipient need not be live now. Signals of one sender keep their order.

        Raises `NoSuchSession`, `InboxFull`, `InvalidName`, `InvalidPayload`, `AccessDenied`, `SessionLost`,
        `BackendUnavailable`; after the last one, and after a cancellation, it may have been sent.
        """
        space = self._space
        ref = space.require("signals.send")
        check_name("agent id", to)
        signal = self._new(ref, type, data, ttl)
        await space.seam.arun(space.backend.signals.send(signal, to, allow_offline=allow_offline))
        return signal.signal_id

    async def broadcast(
        self,
        type: str,  # noqa: A002 - as in `send`
        data: Any = None,
        *,
        ttl: float = 300.0,
        session_type: str | None = None,
        capability: str | None = None,
    ) -> Broadcast:
        """Put a signal into the inbox of every other live session, in one step; return who got it, and who could not.

        Filtered by `session_type` and `capability` as the sessions told of themselves just before.
        Raises as `send` does, but for a full inbox or a session that has left.
        """
        space = self._space
        ref = space.require("signals.broadcast")
        signal = self._new(ref, type, data, ttl)
        to: list[str] | None = None
        if session_type is not None or capability is not None:
            members = await space.seam.arun(space.backend.presence.members(None))
            to = [
                info.agent_id
                for info in members.sessions or ()
                if (session_type is None or info.session_type == session_type)
                and (capability is None or capability in info.capabilities)
            ]
        return await space.seam.arun(space.backend.signals.broadcast(signal, to))

    async def receive(
        self,
        *,
        types: str | Sequence[str] | None = None,
        limit: int = 100,
        timeout: float | None = 0.0,
    ) -> list[AsyncSignal]:
        """Return what came and was not handed out here before, oldest first; an empty list when nothing did.

        Waits up to `timeout` seconds (None: as long as it takes) for a first one, woken by its sender's step.
        `types`: only signals of these types; the others stay for later calls. At most `limit`, and about 1 MiB.
        They stay in the inbox until `AsyncSignal.ack`; until then a new process of this agent gets them again.

        Raises `SessionLost`, `BackendUnavailable` (a wait outlives an outage that its session and timeout outlive).
        """
        wanted = _types(types)
        _check_limit(limit)
        if timeout is not None and not timeout >= 0:
            raise InvalidArgument("timeout", timeout, "give seconds, 0 not to wait, or None to wait for ever")
        handed: list[int] = []
        try:
            if timeout == 0:
                return await self._reader.ask(wanted, limit, self._space.seam.deadline, handed)
            until = None if timeout is None else self._space.session.now() + timeout
            return await self._reader.wait(wanted, limit, until, AsyncFlag(), _never, handed)
        except BaseException:
            self._reader.give_back(handed)
            raise

    def listen(self, *, types: str | Sequence[str] | None = None) -> AsyncInbox:
        """Yield signals as they come: an async iterator and context manager, see `AsyncInbox`."""
        wanted = _types(types)
        self._space.check("signals.receive")
        inbox = AsyncInbox(self._space, self._reader, wanted)
        self._track(inbox)
        return inbox

    async def peek(self, agent_id: str | None = None, *, limit: int = 100) -> list[AsyncSignal]:
        """Look into an inbox, by default one's own, without being handed anything: its state does not change."""
        space = self._space
        space.check("signals.peek")
        _check_limit(limit)
        whose = space.session.info.agent_id if agent_id is None else check_name("agent id", agent_id)
        return self._reader.read(await space.seam.arun(space.backend.signals.peek(whose, limit)))

    async def status(self, signal_id: str) -> SignalStatus | None:
        """Tell what became of a signal: ``queued``, ``seen``, ``acknowledged`` or ``expired``, to whom and when.

        None when nothing is known of it: it never was, or ended over an hour ago.
        """
        self._space.check("signals.status")
        check_name("signal id", signal_id)
        return await self._space.seam.arun(self._space.backend.signals.status(signal_id))

    def _new(self, ref: SessionRef, signal_type: str, data: Any, ttl: float) -> NewSignal:
        settings = self._space.settings
        check_name("signal type", signal_type)
        if not _SHORTEST_TTL <= ttl <= _LONGEST_TTL:
            raise InvalidArgument("ttl", ttl, "give seconds between 0.001 and 30 days")
        payload = encode(data, settings.payload_limit, what="data")
        ttl_ms = max(round(ttl * 1000), 1)
        return NewSignal(ref, self._space.ids(), signal_type, payload, ttl_ms, settings.inbox_limit)


def _types(types: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the types asked for, None for all."""
    if types is None:
        return None
    wanted = (types,) if isinstance(types, str) else tuple(types)
    if not wanted:
        raise InvalidArgument("types", types, "name at least one type, or leave it out")
    for each in wanted:
        check_name("signal type", each)
    return wanted


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= _MOST:
        raise InvalidArgument("limit", limit, f"give a number from 1 to {_MOST}")


def _never() -> bool:
    return False
