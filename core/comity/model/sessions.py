"""Values about sessions: who they are, what they may do, whether they live."""

from __future__ import annotations

import datetime as dt
import enum
import re
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class AccessTier(enum.IntEnum):
    """What a session may do (rule A1); a larger value includes the smaller ones."""

    OBSERVER = 1
    CONTRIBUTOR = 2
    VALIDATOR = 3
    STEWARD = 4


class SessionType(enum.StrEnum):
    """What kind of program a session is; it starts the generated agent id."""

    CLAUDE = "claude"
    CODEX = "codex"
    CLI = "cli"
    SERVICE = "service"
    AGENT = "agent"
    UNKNOWN = "unknown"


class Liveness(enum.StrEnum):
    """How sure a session is that the others still see it.

    ``live``: heartbeats go through. ``suspect``: the last one failed or is overdue; calls go on.
    ``lost``: the session is over, by the store's word or by its local deadline. ``departed``: it left.
    """

    LIVE = "live"
    SUSPECT = "suspect"
    LOST = "lost"
    DEPARTED = "departed"


def utc_from_ms(ms: int) -> dt.datetime:
    """Return the aware UTC datetime of `ms` milliseconds since the epoch."""
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC)


def generate_agent_id(session_type: SessionType | str = SessionType.AGENT) -> str:
    """Make an agent id such as ``claude_20260120153000_a1b2c3``: type, UTC second, 24 random bits."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d%H%M%S")
    kind = re.sub(r"[^a-z0-9-]+", "-", str(session_type).lower()).strip("-") or "agent"
    return f"{kind}_{stamp}_{secrets.token_hex(3)}"


@attrs.frozen
class SessionRef:
    """Which session acts: its id and its incarnation (random, known only to those who act for it).

    An incarnation names one life of the id: from its announcement to its end.
    """

    agent_id: str
    incarnation: str = attrs.field(repr=False)


@attrs.frozen
class AgentCredentials:
    """Who a coordinator acts as and with which tier; set by the caller's configuration only."""

    agent_id: str
    tier: AccessTier = AccessTier.CONTRIBUTOR


@attrs.frozen(slots=False)  # half the time to make one, which a first read does for everybody
class SessionInfo:
    """What a session tells of itself, with the times the backend's clock gave it.

    `last_heartbeat` is as of the read that returned this value. `session_ttl` and
    `heartbeat_interval` are in seconds. `revision` counts the updates of the record.
    """

    agent_id: str
    session_type: str = SessionType.AGENT
    access_tier: AccessTier = AccessTier.CONTRIBUTOR
    capabilities: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    status: str = "active"
    session_ttl: float = 30.0
    heartbeat_interval: float = 10.0
    host: str = ""
    pid: int = 0
    revision: int = 0
    started_ms: int = attrs.field(default=0, repr=False)
    last_heartbeat_ms: int = attrs.field(default=0, repr=False, eq=False)

    @property
    def started_at(self) -> dt.datetime:
        """When the session was announced, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.started_ms)

    @property
    def last_heartbeat(self) -> dt.datetime:
        """When the session was last heard, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.last_heartbeat_ms)

    def is_stale(self, now: dt.datetime | None = None) -> bool:
        """Tell whether `now` (default: this machine's clock) is past the session's deadline.

        A hint for display: only the backend's clock decides whether a session lives (rule S3).
        """
        moment = dt.datetime.now(dt.UTC) if now is None else now
        return (moment - self.last_heartbeat).total_seconds() >= self.session_ttl

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; `from_dict` takes them back."""
        return {
            "agent_id": self.agent_id,
            "session_type": str(self.session_type),
            "access_tier": self.access_tier.name,
            "capabilities": list(self.capabilities),
            "metadata": dict(self.metadata),
            "status": self.status,
            "session_ttl": self.session_ttl,
            "heartbeat_interval": self.heartbeat_interval,
            "host": self.host,
            "pid": self.pid,
            "revision": self.revision,
            "started_at": self.started_at.isoformat(),
            "last_heartbeat": self.last_heartbeat.isoformat(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SessionInfo:
        """Read what `to_dict` wrote. Raises ValueError, KeyError or TypeError on anything else."""
        plain = dict(data)
        plain["access_tier"] = AccessTier[plain["access_tier"]]
        plain["capabilities"] = tuple(plain["capabilities"])
        for name in ("started_at", "last_heartbeat"):
            moment = dt.datetime.fromisoformat(plain.pop(name))
            plain[f"{name.removesuffix('_at')}_ms"] = round(moment.timestamp() * 1000)
        return cls(**plain)


class SessionBody(msgspec.Struct, array_like=True):
    """The part of a record that the session itself writes, as stored: a JSON array, compact."""

    agent_id: str
    session_type: str
    tier: int
    capabilities: tuple[str, ...]
    metadata: dict[str, Any]
    status: str
    ttl_ms: int
    interval_ms: int
    host: str
    pid: int
    revision: int

    @classmethod
    def read(cls, body: bytes) -> SessionBody:
        """Read what `encode_session` wrote. Raises ValueError for anything else."""
        return _decoder.decode(body)

    def info(
        self,
        started_ms: int,
        last_heartbeat_ms: int,
        ttl_ms: int | None = None,
        interval_ms: int | None = None,
        revision: int | None = None,
    ) -> SessionInfo:
        """Make it the session's record, with what the store keeps beside it; None: it is here. Raises ValueError."""
        tier = _TIERS.get(self.tier)
        if tier is None:
            raise ValueError(f"{self.tier} is no tier")
        # In the order of the fields: by keyword this takes twice as long, for each session of each read.
        return SessionInfo(
            self.agent_id,
            self.session_type,
            tier,
            self.capabilities,
            self.metadata,
            self.status,
            (self.ttl_ms if ttl_ms is None else ttl_ms) / 1000,
            (self.interval_ms if interval_ms is None else interval_ms) / 1000,
            self.host,
            self.pid,
            self.revision if revision is None else revision,
            started_ms,
            last_heartbeat_ms,
        )


_TIERS = {int(tier): tier for tier in AccessTier}
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(SessionBody)


def encode_session(info: SessionInfo) -> bytes:
    """Return the stored form of `info`: UTF-8 JSON without control characters, without its times."""
    body = SessionBody(
        info.agent_id,
        str(info.session_type),
        int(info.access_tier),
        tuple(info.capabilities),
        dict(info.metadata),
        info.status,
        round(info.session_ttl * 1000),
        round(info.heartbeat_interval * 1000),
        info.host,
        info.pid,
        info.revision,
    )
    return _encoder.encode(body)


def decode_session(body: bytes, started_ms: int, last_heartbeat_ms: int) -> SessionInfo:
    """Read what `encode_session` wrote, with the times the backend keeps.

    Raises ValueError when the bytes are no such record (rule X7: skip, count, log once).
    """
    return SessionBody.read(body).info(started_ms, last_heartbeat_ms)


@attrs.frozen
class Announcement:
    """What a session asks of the store when it announces itself."""

    session: SessionRef
    info: SessionInfo
    process: str = ""
    """Where the backend can look whether the session's process lives (the listener's address)."""

    @property
    def ttl_ms(self) -> int:
        """The lease in whole milliseconds."""
        return round(self.info.session_ttl * 1000)

    @property
    def interval_ms(self) -> int:
        """The time between heartbeats in whole milliseconds."""
        return round(self.info.heartbeat_interval * 1000)


@attrs.frozen
class Announced:
    """The session is live. `started_ms`: by the backend's clock, the same for a retried announcement."""

    started_ms: int
    version: int = 0
    """The version of what the session holds (see `Beat`)."""


@attrs.frozen
class Beat:
    """A heartbeat's answer.

    `alive`: False when the session is over, whatever ended it; then the rest is without meaning.
    `version`: changes whenever somebody else changed what the session holds or waits for.
    `next_deadline_ms`: until the earliest deadline among the *other* sessions, None without others.
    `live`: how many sessions live, this one included.
    """

    alive: bool
    version: int = 0
    next_deadline_ms: int | None = None
    live: int = 0
    reason: str = ""
    """Why it is over: ``expired``, ``departed``, ``evicted``; empty where the store cannot tell."""
    left_ms: int | None = None
    """Until the session's own deadline; None for a heartbeat, after which it is the whole ttl."""


class Eldest(NamedTuple):
    """The oldest that a session has by what it knows: of leases request id and name, of claims request id and task."""

    lease: tuple[str, str] | None = None
    claim: tuple[str, str] | None = None


@attrs.frozen
class Members:
    """The live sessions, with the membership version and the place of the read in the system topic.

    `sessions` is None when the membership is the one the caller knows already.
    """

    version: int
    epoch: int
    """Birth of the system topic (see `TopicPosition`)."""
    position: int
    """Number of the last event of the system topic when this was read."""
    sessions: tuple[SessionInfo, ...] | None


@attrs.frozen
class Reaped:
    """What a reaping step did.

    `agent_id`: the session it ended, None when nobody was due.
    `next_deadline_ms`: until the earliest deadline among the sessions left (0 or less: one more is due),
    None when none is left.
    """

    agent_id: str | None
    next_deadline_ms: int | None
