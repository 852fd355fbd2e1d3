"""What goes around a step in the same write, where one server is not the whole story.

- That the server is still the primary: asked after each step with ROLE, so that a primary that was demoted
  answers nothing any more, not even a refusal (T34).
- That replicas have it: WAIT, for steps whose loss would matter. WAIT waits for what its own connection has
  written, and since Redis 7.2 or so for nothing else; a step that is tried again may find all done and
  write nothing. So a small write of ours goes before it, and all that was done earlier is covered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from comity.ops import Effect
from comity_redis.packing import pack
from comity_redis.replies import ErrorReply, error_in

if TYPE_CHECKING:
    from comity_redis.op import RedisOp

ASKING: Final = pack("ASKING")
_ROLE: Final = pack("ROLE")
_SPARE: Final = 0.15
"""Seconds, at least, of a step's time that WAIT may not take: servers look at its end every 0.1 s."""


class Frame:
    """What the servers behind one address have to say to each step."""

    def __init__(self, *, role: bool = False, replicas: int = 0, meta: str = "") -> None:
        """Ask for the `role`; have so many `replicas` confirm. `meta` is the key that takes the small write."""
        self._role, self.replicas = role, replicas
        self._mark = pack("HSET", meta, "waited", "") if replicas else b""

    def around(self, op: RedisOp[Any], seconds_left: float, *, asking: bool = False) -> tuple[bytes, int]:
        """Return what to send for `op`, and how many replies it gives; `asking` as a cluster's ASK wants it."""
        ask = ASKING if asking else b""
        parts, replies = [ask, op.data], op.replies + asking
        if self._waits(op):
            until = seconds_left - max(_SPARE, seconds_left * 0.1)
            wait = pack("WAIT", self.replicas, max(1, int(until * 1000)))
            parts += [ask, self._mark, wait]
            replies += 2 + asking
        if self._role:
            parts.append(_ROLE)
            replies += 1
        return b"".join(parts), replies

    def answer(self, op: RedisOp[Any], answers: list[Any], *, asking: bool = False) -> Any:
        """Return the answer to `op` among all that came for `around`; an `ErrorReply` unless all is well."""
        own = answers[asking : asking + op.replies]
        answer = error_in(own) or own[-1] if op.replies != 1 else own[0]
        if isinstance(answer, ErrorReply):
            return answer
        rest = answers[asking + op.replies :]
        for each in rest:
            if isinstance(each, ErrorReply):
                return each
        if self._role and rest.pop()[0] != b"master":
            return ErrorReply("READONLY it is a replica now")
        if rest and rest[-1] < self.replicas:
            return ErrorReply(f"NOREPLICAS it was done, but only {rest[-1]} of {self.replicas} replicas have it yet")
        return answer

    def _waits(self, op: RedisOp[Any]) -> bool:
        return self.replicas > 0 and op.effect is Effect.WRITE and not op.loose


PLAIN: Final = Frame()
