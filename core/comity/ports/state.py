"""What is stored under keys for all to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import (
        Fenced,
        Mismatch,
        SessionRef,
        StatePage,
        StateWrite,
        StoredEntry,
        Trimmed,
        Written,
    )
    from comity.ops import Op


class State(Protocol):
    """What is stored under keys for all to see (rules K1-K4).

    A key is there while it was put and not deleted, its own time is not over, and the session it ends with, if
    any, lives. Versions come from the counter of fencing tokens, so they grow across the lives of a key. Every
    change publishes its event to `STATE_TOPIC` in the step that makes it; the topic keeps the newest `CHANGES_KEPT`,
    or fewer when those have more than `CHANGES_BYTES`; nothing is told of `UNTOLD_KEYS`. Keys that expire are taken
    away by `trim`, and a few at a time by later writes.
    """

    def put(
        self,
        write: StateWrite,
        value: bytes,
        *,
        ttl_ms: int | None,
        ephemeral: bool,
        max_held: int,
    ) -> Op[Written | Mismatch | Fenced]:
        """Store `value` under the key, for `ttl_ms` from now, and if `ephemeral` only as long as the session lives.

        What was there is replaced wholly: time, owner and all. The newest token that wrote the key is remembered with
        it, and for `FENCE_MEMORY_MS` after the key is gone. Undo, outcome unknown: `void`.

        Raises `SessionLost`, and `LimitExceeded` for an ephemeral key beyond `max_held` of the session.
        """

    def put_all(
        self, puts: Sequence[tuple[StateWrite, bytes]], *, ttl_ms: int | None
    ) -> Op[tuple[Written | Mismatch | Fenced, ...]]:
        """Store values under several keys, on one way to the store; the answers are in the order of the `puts`.

        Each is judged by itself, as `put` would. They may be steps of their own: where the call raises, some may have
        been applied. Nothing is undone: for writers that expect versions, and read again what they do not know.
        For up to 100 keys. Raises `SessionLost`.
        """

    def delete(self, write: StateWrite) -> Op[Written | Mismatch | Fenced]:
        """Take the key away; one that is not there is no refusal. Works while the store is full.

        Undo, outcome unknown: `void`. Raises `SessionLost`.
        """

    def void(self, session: SessionRef, request_id: str) -> Op[Written]:
        """Let a write that was not applied yet never be: answers what it made, version 0 when it never will.

        Works while the store is full.
        """

    def get(self, key: str) -> Op[StoredEntry | None]:
        """Read what stands under a key, None when it is not there."""

    def get_all(self, keys: Sequence[str]) -> Op[tuple[StoredEntry | None, ...]]:
        """Read what stands under several keys at one moment, each as `get` does; for up to 100 keys."""

    def list(self, start: bytes, stop: bytes, limit: int) -> Op[StatePage]:
        """Read the first keys from `start` on and before `stop`, in the order of their bytes in UTF-8.

        Looks at no more than `limit` keys, those past their time included. `start` is also what `StatePage.rest` gave.
        """

    def trim(self, limit: int) -> Op[Trimmed]:
        """Take away keys whose own time is over, the longest overdue first, at most `limit`."""
