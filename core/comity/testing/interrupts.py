"""KeyboardInterrupt at one chosen place of a call, of all those where Python may raise it.

Python looks for signals when a function begins, when a loop goes back, and after each call of a function of C: in
the library and in the standard library alike, so also between the lines of `threading.Event.set`. A trace
function counts these places and raises at one of them.
"""

from __future__ import annotations

import dis
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

_LOOKS = frozenset(
    number
    for name, number in dis.opmap.items()
    if name.startswith(("CALL", "RESUME", "JUMP_BACKWARD")) and not name.endswith("NO_INTERRUPT")
)
"""The instructions behind which Python looks for signals."""
_LEFT_OUT = ("site-packages", "comity_redis", "weakref")
"""What is installed beside the library takes an interrupt as it likes; a socket of Redis that was just taken up is
left to the garbage collector, which says so; and from a callback of a weak reference it goes nowhere."""
_codes: dict[CodeType, bytes] = {}


def _interrupt() -> None:
    raise KeyboardInterrupt


class Interrupt:
    """Raises KeyboardInterrupt at the place of that number, from 0, in this thread, while it is entered.

    Or calls `handler` there, as another signal would.
    """

    def __init__(self, place: int, handler: Callable[[], object] = _interrupt) -> None:
        self._left, self._handler = place, handler
        self._last: dict[FrameType, int] = {}
        self.where = ""
        """The place, as file, line and function; empty when so many were not passed."""

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)
        self._last.clear()

    def _enter(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_back is not None:
            self._last.pop(frame.f_back, None)  # what it calls is not of C
        if any(part in frame.f_code.co_filename for part in _LEFT_OUT):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode":
            last = self._last.get(frame)
            self._last[frame] = frame.f_lasti
            if last is not None and _instruction(frame.f_code, last) in _LOOKS:
                self._left -= 1
                if self._left < 0:
                    self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
                    sys.settrace(None)
                    self._handler()
                    return None
        elif event in ("return", "exception"):  # behind a call that raised Python does not look
            self._last.pop(frame, None)
        return self._step


def _instruction(code: CodeType, offset: int) -> int:
    if code not in _codes:
        _codes[code] = code.co_code
    return _codes[code][offset]
