"""Performs the Redis adapter's ops on an in-process server: the same bytes in, the same answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from comity.errors import BackendUnavailable, Closed, Forked
from comity_fakeredis.connection import FakeConnection
from comity_fakeredis.listening import FakeListener
from comity_redis import forks
from comity_redis.replies import ErrorReply, error_in, is_forgotten_script, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fakeredis import FakeServer

    from comity_redis.op import RedisOp

_WHAT = "this connection to an in-process server"


class FakeRunner:
    """A `comity_redis.op.Runner` on a `fakeredis.FakeServer`, for CI and tests.

    A step runs in the calling thread, under the server's lock, and takes well under a millisecond;
    there is nothing to wait for. So `aperform` simply performs, and cancellation finds a step done or
    not begun. Deadlines are not watched.
    """

    cautious = False

    def __init__(self, server: FakeServer, where: str = "fakeredis://") -> None:
        """Take the server, and its address for errors and logs."""
        self.where, self.server, self.outages = where, server, 0
        self._idle: list[FakeConnection] = []
        self._closed = self._forked = False
        forks.watch(self)

    def doubt(self) -> None:
        self.outages += 1

    def perform(self, op: RedisOp[Any], seconds_left: float) -> Any:
        if seconds_left <= 0:
            raise BackendUnavailable(self.where, "no time left", step=op.name, waited=0.0)
        self._check()
        try:
            connection = self._idle.pop() if self._idle else FakeConnection(self.server)
        except IndexError:  # another thread was faster
            connection = FakeConnection(self.server)
        except redis.ConnectionError as error:
            raise BackendUnavailable(self.where, str(error), step=op.name) from error
        try:
            answers = connection.ask(op.data, op.replies)
            answer = error_in(answers) or answers[-1] if op.replies != 1 else answers[0]
            if answer.__class__ is ErrorReply and is_forgotten_script(answer) and op.sources:
                loads = b"".join(source.load for source in op.sources)
                answers = connection.ask(loads + op.data, len(op.sources) + op.replies)
                answer = error_in(answers) or answers[-1]
        except BaseException as error:
            connection.close()
            if isinstance(error, redis.ConnectionError):
                self.outages += 1
                raise BackendUnavailable(self.where, str(error), step=op.name) from error
            raise
        self._idle.append(connection)
        if self._closed:
            self._drop_idle()
        if answer.__class__ is ErrorReply:
            raise refusal(answer, self.where, op.name)
        return answer

    async def aperform(self, op: RedisOp[Any], seconds_left: float) -> Any:
        return self.perform(op, seconds_left)

    def listener(self) -> FakeListener:
        self._check()
        return FakeListener(self.server)

    def close(self) -> None:
        if not self._forked:
            self._closed = True
            self._drop_idle()

    async def aclose(self) -> None:
        self.close()

    def _drop_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread was faster
                return

    def disown(self) -> Iterable[int]:
        """Refuse all calls in a forked child: its copy of the server is not the parent's."""
        self._forked = True
        return ()

    def _check(self) -> None:
        if self._forked:
            raise Forked(_WHAT)
        if self._closed:
            raise Closed(_WHAT)

    def __repr__(self) -> str:
        return f"<FakeRunner {self.where}>"
