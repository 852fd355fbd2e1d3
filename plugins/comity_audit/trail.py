"""One structured line for each thing that happens, to a file or to the program's log."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from comity import hookimpl

if TYPE_CHECKING:
    from comity import ConflictResult, Pattern, SessionInfo

_log = logging.getLogger("comity_audit")
_log.addHandler(logging.NullHandler())


class Audit:
    """Writes JSON lines to `path`, or to the file that ``COMITY_AUDIT_FILE`` names, else to the log.

    Each line has ``at`` (UTC, this machine's clock), ``event``, ``session`` (the coordinator's own) and the
    facts of the event. The log is the program's structlog where that is configured, else the
    standard logger ``comity_audit`` at INFO. Lines of several processes may share a file on a local
    disk: each is appended in one write. A file that cannot be written is a failure of this plugin, which
    ``comity doctor`` shows; the session goes on.
    """

    name = "comity_audit"

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._path = path or os.environ.get("COMITY_AUDIT_FILE") or None
        self._session = ""

    @hookimpl
    def comity_session_started(self, info: SessionInfo) -> None:
        """Remember whose trail this is."""
        self._session = info.agent_id
        self._write("session_started", tier=info.access_tier.name, host=info.host, pid=info.pid)

    @hookimpl
    def comity_session_joined(self, info: SessionInfo) -> None:
        """A peer is here."""
        self._write("session_joined", peer=info.agent_id, tier=info.access_tier.name, host=info.host, pid=info.pid)

    @hookimpl
    def comity_session_updated(self, info: SessionInfo) -> None:
        """A peer changed what it tells of itself."""
        self._write("session_updated", peer=info.agent_id, status=info.status, metadata=dict(info.metadata))

    @hookimpl
    def comity_conflict_decided(self, result: ConflictResult) -> None:
        """Who won what, and why."""
        self._write(
            "conflict_decided",
            resource=result.resource,
            winner=result.winner,
            loser=result.loser,
            strategy=result.strategy_used,
            reason=result.reason,
            token=result.token,
        )

    @hookimpl
    def comity_pattern_promoted(self, pattern: Pattern) -> None:
        """What is kept for good from now on, and by whose decision."""
        self._write(
            "pattern_promoted",
            pattern=pattern.id,
            name=pattern.name,
            staged_by=pattern.staged_by,
            promoted_by=pattern.decided_by,
            reason=pattern.reason,
            promotion=pattern.promotion_id,
        )

    @hookimpl
    def comity_service_started(self, token: int) -> None:
        """This session leads the background service."""
        self._write("service_started", token=token)

    @hookimpl
    def comity_service_deposed(self, token: int, reason: str) -> None:
        """It lost the lead."""
        self._write("service_deposed", token=token, reason=reason)

    @hookimpl
    def comity_service_stopped(self, token: int, reason: str) -> None:
        """It gave the lead up."""
        self._write("service_stopped", token=token, reason=reason)

    @hookimpl
    def comity_lock_lost(self, name: str, token: int, reason: str) -> None:
        """A lease ended without being released."""
        self._write("lock_lost", name=name, token=token, reason=reason)

    @hookimpl
    def comity_session_left(self, info: SessionInfo, reason: str) -> None:
        """A peer is gone."""
        self._write("session_left", peer=info.agent_id, reason=reason)

    @hookimpl
    def comity_session_lost(self, reason: str) -> None:
        """The session ended without its doing. Hooks may leave out what they do not need, here `info`."""
        self._write("session_lost", reason=reason)

    @hookimpl
    def comity_session_ended(self, reason: str) -> None:
        """The session left by itself."""
        self._write("session_ended", reason=reason)

    def _write(self, event: str, **facts: Any) -> None:
        if self._path is None:
            _to_log(event, {"session": self._session, **facts})
            return
        at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        record = {"at": at, "event": event, "session": self._session, **facts}
        line = json.dumps(record, ensure_ascii=False, default=repr) + "\n"
        # Opened for each line, so a file that is rotated away is followed; 0600, as trails name people's work.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)


def _to_log(event: str, facts: dict[str, Any]) -> None:
    """Use structlog only where the program configured it: otherwise it would print to stdout."""
    structlog: Any = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        structlog.get_logger("comity_audit").info(event, **facts)
    elif _log.isEnabledFor(logging.INFO):
        _log.info("%s %s", event, json.dumps(facts, ensure_ascii=False, default=repr), extra={"facts": facts})
