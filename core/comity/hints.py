"""Who waits to be told of something that is no grant, such as a signal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comity.holdings import Settable
    from comity.model import WakeKind


class Hints:
    """Flags to be set by wake-ups of a kind, and of a name where the kind has names (any thread)."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._flags: dict[tuple[WakeKind, str], list[Settable]] = {}

    def add(self, flag: Settable, kind: WakeKind, name: str = "") -> None:
        """Set `flag` from now on; look at the facts *after* this."""
        with self._guard:
            self._flags.setdefault((kind, name), []).append(flag)

    def remove(self, flag: Settable, kind: WakeKind, name: str = "") -> None:
        """Set `flag` no more."""
        with self._guard:
            flags = self._flags.get((kind, name), [])
            if flag in flags:
                flags.remove(flag)
            if not flags:
                self._flags.pop((kind, name), None)

    def tell(self, kind: WakeKind, name: str = "") -> None:
        """Set the flags of those who wait for this."""
        with self._guard:
            told = list(self._flags.get((kind, name), ()))
        for flag in told:
            flag.set()

    def tell_all(self) -> None:
        """Set every flag: something may have been missed, or all is over."""
        with self._guard:
            told = [flag for flags in self._flags.values() for flag in flags]
        for flag in told:
            flag.set()

    def __bool__(self) -> bool:
        return bool(self._flags)
