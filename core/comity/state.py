"""Public values of the shared state: what is read, and what a watch yields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from comity.model import utc_from_ms
from comity.names import OWN_KEYS

if TYPE_CHECKING:
    import datetime as dt

    from comity.model import StoredEntry

BEYOND = b"\xff"
"""Behind all text in UTF-8."""


@attrs.frozen
class StateEntry:
    """What stands under a key.

    `version` is larger than every earlier one of the key, also of lives that were deleted; give it as
    ``expect_version=``. `at`: when it was written, by the backend's clock. `by`: the agent id that wrote it. `owner`:
    the session it ends with, "" for none. `expires_in`: seconds, counted from the read; None without a time of its own.
    """

    key: str
    value: Any
    version: int
    at: dt.datetime
    by: str
    owner: str = ""
    expires_in: float | None = None

    @property
    def ephemeral(self) -> bool:
        """Whether it ends with its owner's session."""
        return bool(self.owner)

    @classmethod
    def of(cls, stored: StoredEntry) -> StateEntry:
        """Make the public form of what is stored. Raises ValueError when its value is no JSON."""
        return cls(
            key=stored.key,
            value=msgspec.json.decode(stored.value),
            version=stored.version,
            at=utc_from_ms(stored.at_ms),
            by=stored.writer,
            owner=stored.owner,
            expires_in=None if stored.expires_ms is None else stored.expires_ms / 1000,
        )


@attrs.frozen
class StateSnapshot:
    """All that stands under the watched prefix at one moment, by key. `after_gap`: changes before it were missed."""

    entries: tuple[StateEntry, ...]
    after_gap: bool = False


@attrs.frozen
class StatePut:
    """A key was put; `entry` is what was stored then."""

    entry: StateEntry


@attrs.frozen
class StateGone:
    """A key is gone: it was ``deleted`` (`by` an agent id), it ``expired``, or its owner's session ``ended``.

    `version`: of this change; what is put under the key later has a larger one.
    """

    key: str
    version: int
    reason: str
    by: str = ""


def ranges(prefix: str) -> list[tuple[bytes, bytes]]:
    """Return where the keys that begin with `prefix` lie, as bytes from and before.

    The library's own are left out, unless the prefix begins as they do.
    """
    start, own = prefix.encode(), OWN_KEYS.encode()
    stop = start + BEYOND
    if start.startswith(own) or not own.startswith(start):
        return [(start, stop)]
    return [(start, own), (own + BEYOND, stop)]


def stash_key(agent_id: str, key: str) -> str:
    """Return where a session's own `key` is kept."""
    return f"{OWN_KEYS}stash/{agent_id.replace('%', '%25').replace('/', '%2F')}/{key}"


StateChange = StateSnapshot | StatePut | StateGone
"""What a watch of the state yields."""
