"""Values about shared state: what is stored under a key, what a write asks for, what it answers."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from comity.model.sessions import SessionRef

STATE_TOPIC = "comity.state"
"""The topic of changes to the state; only steps of the ports write to it."""
CHANGES_KEPT = 10_000
"""How many changes the topic keeps at least, unless they have more than `CHANGES_BYTES`."""
CHANGES_BYTES = 16 * 1024 * 1024
"""How many bytes of changes the topic keeps at least, before older ones go."""
FENCE_MEMORY_MS = 86_400_000
"""For how long the newest token that wrote a key is known after the key is gone."""
FENCES_REMEMBERED = 100_000
"""For how many keys that are gone it is known, at most; those gone longest are forgotten first."""


UNTOLD_KEYS = "comity:service/"
"""How the keys begin whose changes are told to nobody: the service writes its own often, and nobody watches them."""


class StateEvent(enum.StrEnum):
    """The types of events in the topic of changes. Payloads are JSON objects with these keys.

    All: key, version (which this change made). ``state.put`` also value, ttl_ms (None: none),
    owner (agent id; "" unless ephemeral). ``state.ended`` also reason (departed, expired, evicted). The
    sender is who wrote or deleted, "" for what came about by itself.
    """

    PUT = "state.put"
    DELETED = "state.deleted"
    EXPIRED = "state.expired"
    """Its own time ran out."""
    ENDED = "state.ended"
    """Its session ended."""


@attrs.frozen
class Grant:
    """One exclusive grant of a lock, as a fence names it: held only while `session` lives."""

    name: str
    request_id: str
    session: SessionRef
    token: int


@attrs.frozen
class Fence:
    """Who may write: no holder of a `token` older than the newest that wrote the key.

    With `grant` (of that token) only while the grant is held, judged in the step that writes.
    """

    token: int
    grant: Grant | None = None


@attrs.frozen
class StateWrite:
    """What every write says. `request_id` is unique for ever.

    `expect_version`: the version the key must have now, 0 for none at all, None for any.
    """

    request_id: str
    session: SessionRef
    key: str
    expect_version: int | None = None
    fence: Fence | None = None


@attrs.frozen
class StoredEntry:
    """What stands under a key. `value` is JSON text in UTF-8, opaque to backends.

    `version`: larger than all before it of this key, earlier lives included. `at_ms`: when it was written, backend's
    clock. `writer`: who wrote it. `owner`: the agent id of the session it ends with, "" for none. `expires_ms`:
    milliseconds from the read until its own time is over, None when it has none.
    """

    key: str
    value: bytes
    version: int
    at_ms: int
    writer: str
    owner: str = ""
    expires_ms: int | None = None


@attrs.frozen
class Written:
    """The write was applied, by this step or an earlier try of it, and made `version`.

    A deletion of a key that was not there changed nothing and made version 0.
    """

    version: int
    at_us: int = 0


@attrs.frozen
class Mismatch:
    """The key has not the version expected; nothing was changed. `current`: what stands there, None for nothing."""

    current: StoredEntry | None


@attrs.frozen
class Fenced:
    """The fence refused the write; nothing was changed.

    `newest`: the newest token known to have written the key or, when the `grant` is not held any more, of its
    name's present holder (0: none).
    """

    newest: int
    grant_over: bool = False


@attrs.frozen
class StatePage:
    """Entries in byte order of their keys, read at one moment.

    `rest`: where to read on, None when nothing is left. `epoch`, `position`: the place in the topic of changes.
    """

    entries: tuple[StoredEntry, ...]
    rest: bytes | None
    epoch: int
    position: int
    next_due_ms: int | None = None
    """Until the next key of the namespace expires, 0 or less when one is overdue; None when none will."""


@attrs.frozen
class Trimmed:
    """What a trimming step did: how many keys expired by it, and when it is next worth while (as in `StatePage`)."""

    count: int
    next_due_ms: int | None
