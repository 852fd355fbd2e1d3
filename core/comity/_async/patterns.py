"""Patterns: what sessions learnt is staged, and promoted to a long-term store or rejected (rules P1, P2)."""

from __future__ import annotations

import contextlib
import inspect
import secrets
from typing import TYPE_CHECKING, Any

import attrs

from comity._async.locks import check_reason
from comity._colour._async import acall
from comity.errors import (
    BackendUnavailable,
    InvalidArgument,
    NoSuchPattern,
    PatternDecided,
    PromotionUnfinished,
    StateConflict,
)
from comity.logs import corrupt
from comity.names import check_name
from comity.patterns import DECIDED, OPEN, Pattern, PatternStatus, read_pattern, write_pattern
from comity.payloads import encode
from comity.state import BEYOND

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from comity._async.entries import AsyncEntries
    from comity._async.space import AsyncSpace
    from comity.lease_state import LeaseState
    from comity.model import SessionRef
    from comity.state import StateEntry

STAGED_FOR = DECIDED_FOR = 86_400.0
"""Seconds for which a staged pattern waits, and for which a decision can be looked up."""
_MAX_TRIES = 32
_WHERE: dict[PatternStatus | None, tuple[str, ...]] = {
    None: (OPEN, DECIDED),
    PatternStatus.STAGED: (OPEN,),
    PatternStatus.PROMOTING: (OPEN,),
    PatternStatus.PROMOTED: (DECIDED,),
    PatternStatus.REJECTED: (OPEN, DECIDED),
}
"""Where patterns are to be found, in the order in which they move."""

Found = tuple[Pattern, "StateEntry"]


class AsyncPatterns:
    """Stage what this session learnt; promote or reject what others did."""

    def __init__(self, space: AsyncSpace, entries: AsyncEntries) -> None:
        self._space, self._entries = space, entries

    async def stage(
        self,
        name: str,
        content: Any,
        *,
        kind: str = "",
        confidence: float = 0.5,
        context: Any = None,
    ) -> str:
        """Stage a pattern for 24 hours, for a validator to promote or reject; return its id.

        `name` and `kind` say what it is about, `content` is what was learnt and `context` where, as JSON of up to
        256 KiB together; `confidence`, from 0 to 1, how sure this session is.

        Raises `InvalidName`, `InvalidPayload`, `InvalidArgument`, `AccessDenied`, `SessionLost`, `BackendUnavailable`.
        """
        space = self._space
        ref = space.require("patterns.stage")
        check_name("pattern name", name)
        if kind:
            check_name("pattern kind", kind)
        if type(confidence) not in {int, float} or not 0 <= confidence <= 1:
            raise InvalidArgument("confidence", confidence, "give a number from 0 (a guess) to 1 (certain)")
        encode({"content": content, "context": context}, space.settings.payload_limit, "pattern")
        pattern_id = secrets.token_hex(8)
        pattern = Pattern(pattern_id, name, content, kind, float(confidence), context, staged_by=ref.agent_id)
        await self._entries.put_body(ref, OPEN + pattern_id, write_pattern(pattern), expect_version=0, ttl=STAGED_FOR)
        return pattern_id

    async def get(self, pattern_id: str) -> Pattern | None:
        """Return a pattern, staged or decided within the last 24 hours; None when there is none."""
        self._space.check("patterns.get")
        found = await self._find(check_id(pattern_id))
        return None if found is None else found[0]

    async def list(self, *, status: PatternStatus | str | None = None, kind: str | None = None) -> list[Pattern]:
        """Return the patterns that are staged, or were decided within 24 hours, by the time of staging.

        Filtered by status (``"staged"``, ``"promoting"``, ``"promoted"``, ``"rejected"``) and kind. What is staged or
        promoting is found without a look at what is decided.
        """
        self._space.check("patterns.list")
        try:
            wanted = None if status is None else PatternStatus(status)
        except ValueError:
            raise InvalidArgument("status", status, f"give one of {', '.join(PatternStatus)}") from None
        found: dict[str, Pattern] = {}
        for prefix in _WHERE[wanted]:
            async for pattern, _ in self._all(prefix):
                found[pattern.id] = pattern
        patterns = [
            pattern
            for pattern in found.values()
            if wanted in {None, pattern.status} and (kind is None or pattern.kind == kind)
        ]
        return sorted(patterns, key=lambda pattern: (pattern.staged_ms, pattern.id))

    async def promote(self, pattern_id: str, *, reason: str = "", fence: int | LeaseState | None = None) -> Pattern:
        """Have a pattern kept in the long-term store, and return it as promoted (validator).

        First the decision is put on record, by compare-and-set, then the store is called (the hook
        ``comity_store_pattern``), then the pattern is marked. Whatever stops this midway, the decision stands: the
        pattern stays, and whoever promotes it again, or calls `finish_promotions`, goes on under the same
        `promotion_id`. Promoting what is promoted already returns it. `fence` is as for ``state.put``.

        Raises `PromotionUnfinished` (the store failed), `PatternDecided` (it was rejected), `NoSuchPattern`,
        `FenceRefused`, `AccessDenied`, `SessionLost`, `BackendUnavailable`.
        """
        space = self._space
        ref = space.require("patterns.promote")
        check_id(pattern_id)
        why = reason and check_reason(reason)
        for _ in range(_MAX_TRIES):
            pattern, entry = await self._there(pattern_id)
            if pattern.status is PatternStatus.PROMOTED:
                return pattern
            if pattern.status is PatternStatus.REJECTED:
                raise PatternDecided(pattern)
            if pattern.status is PatternStatus.PROMOTING:
                return await self._complete(ref, pattern, entry, fence)
            decided = attrs.evolve(
                pattern,
                status=PatternStatus.PROMOTING,
                promotion_id=secrets.token_hex(16),
                decided_by=ref.agent_id,
                reason=why,
            )
            await self._decide(ref, decided, entry, None, fence)  # without an end: it stays until it is stored
        raise self._contended(pattern_id)

    async def reject(self, pattern_id: str, reason: str, *, fence: int | LeaseState | None = None) -> Pattern:
        """Put on record that a pattern is not to be kept, and why; return it as rejected (validator).

        Rejecting what is rejected already returns it. Raises `PatternDecided` when its promotion was decided before,
        else as `promote`.
        """
        ref = self._space.require("patterns.reject")
        check_id(pattern_id)
        why = check_reason(reason)
        for _ in range(_MAX_TRIES):
            pattern, entry = await self._there(pattern_id)
            if pattern.status is PatternStatus.REJECTED:
                return await self._put_away(ref, pattern, entry, fence)
            if pattern.status is not PatternStatus.STAGED:
                raise PatternDecided(pattern)
            decided = attrs.evolve(pattern, status=PatternStatus.REJECTED, decided_by=ref.agent_id, reason=why)
            await self._decide(ref, decided, entry, DECIDED_FOR, fence)
        raise self._contended(pattern_id)

    async def finish_promotions(self, *, fence: int | LeaseState | None = None) -> tuple[Pattern, ...]:
        """Complete what was decided and not dealt with wholly, because its promoter died or the store failed.

        Returns what is promoted now. Costs what is staged and not decided. All are tried; then the first failure of the
        store is raised, as `PromotionUnfinished`. The background service calls this.
        """
        ref = self._space.require("patterns.finish_promotions")
        promoted: list[Pattern] = []
        failures: list[PromotionUnfinished] = []
        async for pattern, entry in self._all(OPEN):
            if pattern.status is PatternStatus.REJECTED:
                await self._put_away(ref, pattern, entry, fence)
            elif pattern.status is PatternStatus.PROMOTING:
                try:
                    promoted.append(await self._complete(ref, pattern, entry, fence))
                except PromotionUnfinished as error:
                    failures.append(error)
        if failures:
            raise failures[0]
        return tuple(promoted)

    # The steps of a decision

    async def _decide(
        self,
        ref: SessionRef,
        decided: Pattern,
        entry: StateEntry,
        ttl: float | None,
        fence: int | LeaseState | None,
    ) -> None:
        """Put a decision on record, unless somebody else was faster: then there is another one to be read."""
        try:
            version = entry.version
            record = write_pattern(decided)
            await self._entries.put_body(ref, entry.key, record, expect_version=version, ttl=ttl, fence=fence)
        except StateConflict:
            return

    async def _complete(
        self,
        ref: SessionRef,
        pattern: Pattern,
        entry: StateEntry,
        fence: int | LeaseState | None,
    ) -> Pattern:
        """Store a pattern whose promotion is decided, and mark it; again and again has the effect of once."""
        await self._store(pattern)
        promoted = await self._put_away(ref, attrs.evolve(pattern, status=PatternStatus.PROMOTED), entry, fence)
        self._space.plugins.pattern_promoted(promoted)
        return promoted

    async def _put_away(
        self,
        ref: SessionRef,
        pattern: Pattern,
        entry: StateEntry,
        fence: int | LeaseState | None,
    ) -> Pattern:
        """Move a pattern to the decided ones; it is in both places for a moment, in none never."""
        if entry.key.startswith(DECIDED):
            return pattern
        await self._entries.put_body(ref, DECIDED + pattern.id, write_pattern(pattern), ttl=DECIDED_FOR, fence=fence)
        with contextlib.suppress(StateConflict):  # somebody else has done so
            await self._entries.delete(ref, entry.key, expect_version=entry.version, fence=fence)
        return attrs.evolve(pattern, expires_in=DECIDED_FOR)

    async def _store(self, pattern: Pattern) -> None:
        """Offer a pattern to the stores in turn, until one has taken it. Raises `PromotionUnfinished`."""
        plugins = self._space.plugins
        arguments = {
            "pattern": attrs.evolve(pattern, status=PatternStatus.PROMOTED),
            "promotion_id": pattern.promotion_id,
            "namespace": self._space.backend.namespace,
        }
        for store in plugins.pattern_stores():
            try:
                taken = await acall(store.function, *[arguments[name] for name in store.argnames])
                if inspect.isawaitable(taken):
                    raise TypeError("it is async, and this coordinator has no event loop")  # noqa: TRY301 - told as any
            except Exception as error:
                plugins.store_failed(store, error)
                why = f"store {store.plugin!r} raised {error!r}"
                raise PromotionUnfinished(pattern.id, pattern.promotion_id, store.plugin, why) from error
            if taken:
                plugins.store_took(store)
                return
        raise PromotionUnfinished(pattern.id, pattern.promotion_id, "", "no store takes it")

    # Reading

    async def _there(self, pattern_id: str) -> Found:
        found = await self._find(pattern_id)
        if found is None:
            raise NoSuchPattern(pattern_id)
        return found

    async def _find(self, pattern_id: str) -> Found | None:
        """Look where it is until it is decided, where it is then, and again where it was: it moves in that order."""
        for prefix in (OPEN, DECIDED):
            entry = await self._entries.get(prefix + pattern_id)
            found = None if entry is None else _read(entry)
            if found is not None:
                return found
        return None

    async def _all(self, prefix: str) -> AsyncIterator[Found]:
        """Read all patterns under a prefix, page by page."""
        start, stop = prefix.encode(), prefix.encode() + BEYOND
        after = ""
        while page := await self._entries.list([(start, stop)], after, _PAGE):
            for entry in page:
                found = _read(entry)
                if found is not None:
                    yield found
            if len(page) < _PAGE:
                break
            after = page[-1].key

    def _contended(self, pattern_id: str) -> BackendUnavailable:
        return BackendUnavailable(self._space.backend.url, f"pattern {pattern_id!r} kept changing under the decision")


_PAGE = 256


def check_id(pattern_id: str) -> str:
    """Return `pattern_id` when a pattern can be called so, else raise `InvalidName`."""
    return check_name("pattern id", pattern_id)


def _read(entry: StateEntry) -> Found | None:
    """Read a pattern with its entry; None for what is none (X7)."""
    try:
        return read_pattern(entry), entry
    except ValueError as error:
        corrupt("pattern", entry.key, error)
        return None
