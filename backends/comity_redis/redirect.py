"""What to do when a step was answered with an error that is no answer: written once for both colours.

A script that the server has forgotten is loaded and called again. In a cluster, a step that another node
serves is sent there. Anything else is for the caller. None of these answers comes from a step that was done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from comity_redis.frame import PLAIN
from comity_redis.replies import ErrorReply, is_forgotten_script

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from comity_redis.address import Address
    from comity_redis.op import RedisOp
    from comity_redis.route import Route

_MOST: Final = 5
"""Pointers that are followed for one step: nodes that disagree may point to each other."""


class Send(NamedTuple):
    """What is to be sent next; the list of its replies is sent back into the generator."""

    data: bytes
    replies: int
    guest: Address | None
    """The server that takes it this once, on a connection that is dropped again."""
    anew: bool
    """Whether it needs a new connection, as another server serves from now on."""


def second_try(
    route: Route, op: RedisOp[Any], answer: ErrorReply, seconds_left: Callable[[], float]
) -> Generator[Send, list[Any], Any]:
    """Go on after the error `answer`; returns the answer that stands, which may be an `ErrorReply`."""
    frame = route.frame or PLAIN
    guest: Address | None = None
    loaded, pointers = False, 0
    while True:
        loads: tuple[bytes, ...] = ()
        anew = False
        if is_forgotten_script(answer) and op.sources and not loaded:
            loaded, loads = True, tuple(source.load for source in op.sources)
        elif pointers < _MOST and (pointer := route.pointed(answer)):
            pointers += 1
            loaded = False
            server, anew = pointer
            guest = None if anew else server
        else:
            return answer
        asking = guest is not None
        data, replies = frame.around(op, seconds_left(), asking=asking)
        answers = yield Send(b"".join((*loads, data)), len(loads) + replies, guest, anew)
        errors = [each for each in answers[: len(loads)] if isinstance(each, ErrorReply)]
        answer = errors[0] if errors else frame.answer(op, answers[len(loads) :], asking=asking)
        if not isinstance(answer, ErrorReply):
            return answer
