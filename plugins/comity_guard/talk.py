"""One hook process on the line with the session host."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity_guard.report import Reply
    from comity_guard.seat import Seat


class Talk:
    """One hook process on the line, and what was offered to it and is not known to have arrived."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._seat: Seat | None = None
        self._ids: list[str] = []

    @property
    def is_open(self) -> bool:
        """Whether the other end is still there."""
        try:
            ready, _, _ = select.select([self._connection], [], [], 0)
            return not ready or self._connection.recv(1, socket.MSG_PEEK) != b""
        except (OSError, ValueError):
            return False

    def offering(self, seat: Seat, reply: Reply) -> Reply:
        """Note what a reply delivers."""
        self._seat, self._ids = seat, list(reply.get("delivered", []))
        return reply

    def delivered(self, ids: Sequence[str]) -> None:
        """Take note that it has arrived."""
        if self._seat is not None:
            self._seat.mail.delivered(each for each in ids if each in self._ids)
        self._ids = [each for each in self._ids if each not in ids]

    def give_back(self) -> None:
        """What did not arrive is offered again."""
        if self._seat is not None and self._ids:
            self._seat.mail.returned(self._ids)
