"""A TCP proxy that breaks what goes through it: one per client, all in one thread with an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends RST."""
_CHUNK = 65536


class Way(enum.Enum):
    """Which way bytes go."""

    THERE = "requests"
    BACK = "replies"


class Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.deaf: set[Way] = set()
        """Ways in which everything is swallowed from now on."""

    def reset(self) -> None:
        """End both, the client's with RST."""
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class Proxy:
    """Where one client connects; made by `Proxies.open`. Its methods may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, upstream: tuple[str, int]) -> None:
        self._loop, self._upstream = loop, upstream
        self._links: set[Link] = set()
        self._drop: dict[Way, Callable[[Link], None]] = {}
        self._delay = 0.0
        self._black = False
        self._server: Any = None
        self.port = 0

    async def begin(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """The address for the client."""
        return f"redis://127.0.0.1:{self.port}/0"

    # What can be done to it

    def reset(self) -> None:
        """Reset all connections."""
        self._soon(self._reset)

    def lose_reply(self, *, silently: bool = False) -> None:
        """Swallow what the server answers next; then reset the connection, or let it stand in silence."""
        self._soon(lambda: self._drop.update({Way.BACK: _deafen if silently else Link.reset}))

    def lose_request(self) -> None:
        """Swallow what is asked next, and reset the connection."""
        self._soon(lambda: self._drop.update({Way.THERE: Link.reset}))

    def half_open(self) -> None:
        """Let all present connections stand, and nothing come back on them any more."""
        self._soon(lambda: [_deafen(link) for link in self._links])  # type: ignore[func-returns-value]

    def delay(self, seconds: float) -> None:
        """Hold back everything for so long, from now until it is 0 again."""
        self._soon(lambda: setattr(self, "_delay", seconds))

    def blackhole(self, *, on: bool) -> None:
        """Accept, and swallow everything; what was opened meanwhile, and before, is reset at the end."""

        def switch() -> None:
            self._black = on
            if not on:
                self._reset()

        self._soon(switch)

    def disarm(self) -> None:
        """Lose nothing that was to be lost and has not come yet."""
        self._soon(self._drop.clear)

    # How

    def end(self) -> None:
        """Listen no more, and end all connections; in the loop's thread."""
        self._server.close()
        self._reset()

    def _soon(self, what: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(what)

    def _reset(self) -> None:
        for link in list(self._links):
            link.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, back)
        self._links.add(link)
        try:
            pumps = [self._pump(reader, back, link, Way.THERE), self._pump(there, writer, link, Way.BACK)]
            await asyncio.gather(*pumps)
        finally:
            self._links.discard(link)
            for each in (writer, back):
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link, way: Way) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(_CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                if self._black or way in link.deaf:
                    continue
                drop = self._drop.pop(way, None)
                if drop is not None:
                    drop(link)
                    continue
                writer.write(data)
                await writer.drain()
        if not self._black:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()


def _deafen(link: Link) -> None:
    link.deaf.add(Way.BACK)


class Proxies:
    """The thread that all proxies of a run live in."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._all: list[Proxy] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def open(self) -> Proxy:
        """Open one more."""
        proxy = Proxy(self._loop, self._upstream)
        self._all.append(proxy)
        asyncio.run_coroutine_threadsafe(proxy.begin(), self._loop).result(10)
        return proxy

    def close(self) -> None:
        """End all."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        for proxy in self._all:
            proxy.end()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close a turn of the loop later
