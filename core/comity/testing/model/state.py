"""Shared state: a dict of entries, the newest fence of each key, and every change told (K1-K4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from comity.errors import LimitExceeded
from comity.model import (
    CHANGES_BYTES,
    CHANGES_KEPT,
    FENCE_MEMORY_MS,
    FENCES_REMEMBERED,
    STATE_TOPIC,
    UNTOLD_KEYS,
    Fenced,
    Mismatch,
    Mode,
    StateEvent,
    StatePage,
    StateWrite,
    StoredEntry,
    Trimmed,
    Written,
)
from comity.testing.model.pubsub import append, end_of
from comity.testing.model.queue import holders, names_of
from comity.testing.model.records import Fact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comity.model import Grant, SessionRef
    from comity.testing.model.records import Session
    from comity.testing.model.step import ModelOp, Steps
    from comity.testing.model.world import Namespace

_TRIMMED_PER_WRITE = 2
_AFTER = b"\x1f\xff"
"""Behind a key and before every longer one: names have no control characters."""


def publish(space: Namespace, event: StateEvent, sender: str, **facts: object) -> None:
    """Tell of a change, and keep of the topic what is to be kept."""
    if str(facts["key"]).startswith(UNTOLD_KEYS):
        return
    payload = json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode()
    topic = append(space, STATE_TOPIC, event.value, payload, sender)
    del topic.events[:-CHANGES_KEPT]
    while sum(len(kept.payload) for kept in topic.events[1:]) >= CHANGES_BYTES:
        del topic.events[0]


def there(space: Namespace, key: str) -> Fact | None:
    """Return what stands under a key at this moment."""
    fact = space.facts.get(key)
    if fact is None or (fact.due_ms is not None and fact.due_ms <= space.now_ms):
        return None
    return fact if fact.owner is None or space.living(fact.owner) else None


def remove(space: Namespace, key: str, event: StateEvent, sender: str = "", **facts: object) -> int:
    """Take a key away and tell of it; return the version that made."""
    fact = space.facts.pop(key)
    remember_fence(space, key, fact.fence)
    version = space.next_token()
    publish(space, event, sender, key=key, version=version, **facts)
    return version


def remember_fence(space: Namespace, key: str, token: int) -> None:
    """Remember the newest token that wrote a key that is gone."""
    if not token:
        return
    known, _ = space.fences.pop(key, (0, 0))
    space.fences[key] = (max(token, known), space.now_ms + FENCE_MEMORY_MS)
    while len(space.fences) > FENCES_REMEMBERED:
        del space.fences[next(iter(space.fences))]


def fence_of(space: Namespace, key: str) -> int:
    """Return the newest token known to have written a key."""
    fact = space.facts.get(key)
    if fact is not None:
        return fact.fence
    token, until_ms = space.fences.get(key, (0, 0))
    return token if space.now_ms < until_ms else 0


def make_way(space: Namespace, key: str) -> None:
    """Take away what is over already, so that a watcher hears of its end before what comes next."""
    fact = space.facts.get(key)
    if fact is None or there(space, key):
        return
    if fact.due_ms is not None and fact.due_ms <= space.now_ms:
        remove(space, key, StateEvent.EXPIRED)
    else:
        remove(space, key, StateEvent.ENDED, reason="expired")


def end_all_of(space: Namespace, session: Session, reason: str) -> None:
    """Take away what ends with a session (K4)."""
    for key in sorted(key for key, fact in space.facts.items() if fact.owner == session.ref):
        remove(space, key, StateEvent.ENDED, reason=reason)


class ModelState:
    """`comity.ports.State` over a dict."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._space = steps, steps.space

    def put(
        self,
        write: StateWrite,
        value: bytes,
        *,
        ttl_ms: int | None,
        ephemeral: bool,
        max_held: int,
    ) -> ModelOp[Written | Mismatch | Fenced]:
        """Store a value, if what the write expects holds."""
        step = self._putting(write, value, ttl_ms, max_held if ephemeral else None)
        return self._steps.write("state.put", step, lambda answer: self._undo(write, answer))

    def put_all(
        self, puts: Sequence[tuple[StateWrite, bytes]], *, ttl_ms: int | None
    ) -> ModelOp[tuple[Written | Mismatch | Fenced, ...]]:
        """Store several values, each if what its write expects holds."""

        def step() -> tuple[Written | Mismatch | Fenced, ...]:
            return tuple(self._putting(write, value, ttl_ms, None)() for write, value in puts)

        return self._steps.write("state.put_all", step)

    def _putting(
        self, write: StateWrite, value: bytes, ttl_ms: int | None, max_held: int | None
    ) -> Callable[[], Written | Mismatch | Fenced]:
        space, ref, key = self._space, write.session, write.key
        ephemeral = max_held is not None

        def step() -> Written | Mismatch | Fenced:
            refused = self._begin(write)
            if refused is not None:
                return refused
            mine = [each for each, fact in space.facts.items() if fact.owner == ref and each != key]
            if max_held is not None and len(mine) >= max_held:
                raise LimitExceeded(ref.agent_id, max_held, "ephemeral keys")
            make_way(space, key)
            version = space.next_token()
            space.facts[key] = Fact(
                value=value,
                version=version,
                at_ms=space.now_ms,
                writer=ref.agent_id,
                owner=ref if ephemeral else None,
                due_ms=None if ttl_ms is None else space.now_ms + ttl_ms,
                fence=max(fence_of(space, key), write.fence.token if write.fence else 0),
            )
            space.fences.pop(key, None)
            owner = ref.agent_id if ephemeral else ""
            facts = {"key": key, "version": version, "value": json.loads(value), "ttl_ms": ttl_ms, "owner": owner}
            publish(space, StateEvent.PUT, ref.agent_id, **facts)
            return self._end(write, version)

        return step

    def delete(self, write: StateWrite) -> ModelOp[Written | Mismatch | Fenced]:
        """Take a key away, if what the write expects holds."""
        space, key = self._space, write.key

        def step() -> Written | Mismatch | Fenced:
            refused = self._begin(write)
            if refused is not None:
                return refused
            make_way(space, key)
            version = 0
            if key in space.facts:
                if write.fence:
                    space.facts[key].fence = max(space.facts[key].fence, write.fence.token)
                version = remove(space, key, StateEvent.DELETED, write.session.agent_id)
            elif write.fence:
                remember_fence(space, key, write.fence.token)
            return self._end(write, version)

        return self._steps.write("state.delete", step, lambda answer: self._undo(write, answer))

    def _undo(self, write: StateWrite, answer: object) -> ModelOp[Written] | None:
        return self.void(write.session, write.request_id) if answer is None else None

    def _begin(self, write: StateWrite) -> Written | Mismatch | Fenced | None:
        """Answer for a write that was applied before or must not be."""
        space = self._space
        before = space.written.of(write.request_id)
        if before is not None:
            return Written(before, space.now_us)
        space.acting(write.session)
        if write.fence is not None:
            newest = fence_of(space, write.key)
            if write.fence.grant is not None and not self._held(write.fence.grant):
                return Fenced(self._holding(write.fence.grant.name), grant_over=True)
            if write.fence.token < newest:
                return Fenced(newest)
        fact = there(space, write.key)
        if write.expect_version is not None and write.expect_version != (fact.version if fact else 0):
            return Mismatch(self._entry(write.key))
        return None

    def _end(self, write: StateWrite, version: int) -> Written:
        space = self._space
        space.written.keep(write.request_id, version, space.now_ms)
        self._trim(_TRIMMED_PER_WRITE)
        return Written(version, space.now_us)

    def _held(self, grant: Grant) -> bool:
        """Tell whether this exclusive grant is held at this moment."""
        for entry in holders(self._space, grant.name):
            if entry.id == grant.request_id and entry.request.session == grant.session:
                modes = {want.mode for want in entry.request.wants if want.name == grant.name}
                return entry.token == grant.token and modes == {Mode.EXCLUSIVE}
        return False

    def _holding(self, name: str) -> int:
        """Return the newest token that holds a name."""
        return max((entry.token for entry in holders(self._space, name) if name in names_of(entry)), default=0)

    def void(self, session: SessionRef, request_id: str) -> ModelOp[Written]:
        """Let a write that did not come yet never be."""
        space = self._space
        del session  # the id alone says which

        def step() -> Written:
            space.written.keep(request_id, 0, space.now_ms)
            return Written(space.written.of(request_id) or 0, space.now_us)

        return self._steps.write("state.void", step)

    def get(self, key: str) -> ModelOp[StoredEntry | None]:
        """Read one key."""
        return self._steps.read("state.get", lambda: self._entry(key))

    def get_all(self, keys: Sequence[str]) -> ModelOp[tuple[StoredEntry | None, ...]]:
        """Read several keys."""
        return self._steps.read("state.get_all", lambda: tuple(map(self._entry, keys)))

    def list(self, start: bytes, stop: bytes, limit: int) -> ModelOp[StatePage]:
        """Read keys in byte order."""
        space = self._space

        def step() -> StatePage:
            keys = sorted(key.encode() for key in space.facts)
            inside = [key for key in keys if start <= key < stop]
            entries = [self._entry(key.decode()) for key in inside[:limit]]
            end = end_of(space, STATE_TOPIC)
            return StatePage(
                entries=tuple(entry for entry in entries if entry),
                rest=inside[limit - 1] + _AFTER if len(inside) >= limit else None,
                epoch=end.epoch,
                position=end.number,
                next_due_ms=self._next_due_ms(),
            )

        return self._steps.read("state.list", step)

    def trim(self, limit: int) -> ModelOp[Trimmed]:
        """Take away what is past its time."""

        def step() -> Trimmed:
            return Trimmed(self._trim(limit), self._next_due_ms())

        return self._steps.write("state.trim", step)

    def _trim(self, limit: int) -> int:
        space = self._space
        due = sorted((fact.due_ms, key) for key, fact in space.facts.items() if fact.due_ms is not None)
        over_now = [key for due_ms, key in due if due_ms <= space.now_ms][:limit]
        for key in over_now:
            remove(space, key, StateEvent.EXPIRED)
        for key in [key for key, (_, until_ms) in space.fences.items() if until_ms <= space.now_ms]:
            del space.fences[key]
        return len(over_now)

    def _next_due_ms(self) -> int | None:
        dues = [fact.due_ms for fact in self._space.facts.values() if fact.due_ms is not None]
        return min(dues) - self._space.now_ms if dues else None

    def _entry(self, key: str) -> StoredEntry | None:
        space = self._space
        fact = there(space, key)
        if fact is None:
            return None
        return StoredEntry(
            key=key,
            value=fact.value,
            version=fact.version,
            at_ms=fact.at_ms,
            writer=fact.writer,
            owner=fact.owner.agent_id if fact.owner else "",
            expires_ms=None if fact.due_ms is None else fact.due_ms - space.now_ms,
        )
