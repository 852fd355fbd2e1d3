"""Promoting patterns in a process of its own, which can be told where to kill itself."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comity
from comity import hookimpl
from comity.pattern_store import PatternStore
from tests.processes import forking

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity import Pattern
    from comity.ops import Op

POINTS = {
    "before the decision is put on record": 1,
    "after it was": 2,
    "before it is stored": 3,
    "after it was stored": 4,
    "before it is noted": 5,
    "after it was noted": 6,
    "before it is put away": 7,
    "after it was put away": 8,
}
"""Where a promoter may die: the promotion is lost in none of them, and stored twice in none."""


class Deadly:
    """The long-term store of the test, and what kills the process with SIGKILL at one of the points."""

    name = "deadly"

    def __init__(self, store: PatternStore) -> None:
        self.store, self.dies_at = store, 0

    def _pass(self) -> None:
        if self.dies_at:
            self.dies_at -= 1
            if self.dies_at == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def before(self, op: Op[object], attempt: int) -> None:
        del attempt
        if op.name in {"state.put", "state.delete"}:
            self._pass()

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None:
        del attempt, answer, seconds
        if op.name in {"state.put", "state.delete"}:
            self._pass()

    @hookimpl
    def comity_store_pattern(self, pattern: Pattern, promotion_id: str, namespace: str) -> bool:
        self._pass()
        self.store.keep(pattern, promotion_id, namespace)
        self._pass()
        return True


class Promoting:
    """What a worker can be told to do with patterns: its children promote, so that each may die at little cost."""

    if TYPE_CHECKING:

        @property
        def me(self) -> comity.Coordinator: ...

    def promoter(self, url: str, file: str, pattern_id: str = "", dies_at: int = 0) -> dict[str, Any]:
        """Start a child that promotes one pattern, dying at that point, or whatever is staged until nothing is."""
        pid = forking.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                promote(url, self.me.namespace, Path(file), pattern_id, dies_at)
                os._exit(0)
            os._exit(1)
        return {"child": pid}

    def reap(self, child: int, *, hang: bool = True) -> dict[str, Any]:
        """Tell how a child ended; None when it has not ended yet."""
        pid, status = os.waitpid(child, 0 if hang else os.WNOHANG)
        return {"status": os.waitstatus_to_exitcode(status) if pid else None}


def promote(url: str, namespace: str, file: Path, pattern_id: str, dies_at: int) -> None:
    """Promote one pattern, or whatever is staged until nothing is."""
    deadly = Deadly(PatternStore(file))
    options: dict[str, Any] = {"interceptors": [deadly], "plugins": [deadly]}
    with comity.connect(url, namespace=namespace, access_tier=comity.AccessTier.VALIDATOR, **options) as me:
        if pattern_id:
            deadly.dies_at = dies_at
            me.patterns.promote(pattern_id)
            return
        while staged := me.patterns.list(status="staged"):
            for pattern in staged:
                me.patterns.promote(pattern.id)


def kept_wrongly(stored: Iterable[Pattern], staged: Iterable[str]) -> list[str]:
    """Say which of the patterns that were to be promoted were lost, and which are kept more than once."""
    ids = Counter(pattern.id for pattern in stored)
    lost = [f"{pattern_id} is lost" for pattern_id in staged if not ids[pattern_id]]
    return lost + [f"{pattern_id} is kept {count} times" for pattern_id, count in ids.items() if count > 1]
