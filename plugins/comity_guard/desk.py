"""What becomes of each report: the decisions of the guard, made for one client session at a time."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from comity import BackendUnavailable
from comity.model import covers
from comity_guard import naming, repository, wording
from comity_guard.git_commands import Staging, Sweeping, sweeping
from comity_guard.handles import family
from comity_guard.kinds import Kind
from comity_guard.seat import Refused, State
from comity_guard.staged import staged

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity import Holder, SessionInfo
    from comity_guard.report import Reply, Report
    from comity_guard.seat import Seat
    from comity_guard.settings import GuardSettings

GUARD_TOPIC = "guard"
"""The topic of what the guard tells: ``file.changed`` (path, shown, session), ``guard.refused`` (these and holder) and
``guard.command_refused`` (command, session)."""


class Desk:
    """Answers reports. Of no state: all of it is in the seats and in the store."""

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
        self._answers: dict[str, Callable[[Seat, Report], Reply]] = {
            Kind.START: self._start,
            Kind.SUBAGENT_START: self._subagent,
            Kind.PROMPT: self._prompt,
            Kind.EDIT: self._edit,
            Kind.EDITED: self._edited,
            Kind.COMMAND: self._command,
            Kind.WORKED: self._worked,
            Kind.STOP: self._stop,
            Kind.NEEDS_INPUT: self._needs_input,
            Kind.FAILED: self._failed,
            Kind.MOVED: self._moved,
            Kind.MAIL: self._mail,
        }

    def answer(self, seat: Seat, report: Report) -> Reply:
        """Take in what a session reports and say what its client should be told."""
        answer = self._answers.get(report["kind"])
        return {} if answer is None else answer(seat, report)

    # Beginnings

    def _start(self, seat: Seat, report: Report) -> Reply:
        # In the middle of a turn the context is compacted; otherwise the session waits for its first word.
        state = seat.state if report.get("source") == "compact" else State.IDLE
        seat.tell(state, **seat.place(report["cwd"]))
        me = seat.me
        anew, seat.anew = seat.anew, False
        text = wording.briefing(
            seat.handle,
            me.sessions.active(),
            me.locks.held(),
            seat.files,
            tasks=[claim.task for claim in me.tasks.mine()],
            unread=seat.mail.unread(),
            anew=anew,
        )
        return {"context": text, **_known(seat)}

    def _subagent(self, seat: Seat, report: Report) -> Reply:
        seat.tell(State.ACTIVE, role=report.get("role") or None, **seat.place(report["cwd"]))
        return {}

    def _prompt(self, seat: Seat, report: Report) -> Reply:
        seat.tell(State.ACTIVE, **seat.place(report["cwd"]))
        seat.keep()
        return _delivering(seat)

    def _moved(self, seat: Seat, report: Report) -> Reply:
        seat.tell(seat.state, **seat.place(report["cwd"]))
        return _known(seat)

    # Work

    def _edit(self, seat: Seat, report: Report) -> Reply:
        seat.tell(State.ACTIVE)
        warnings: list[str] = []
        fresh: list[str] = []
        for path in report.get("paths", []):
            shown = _shown(path)
            fresh += [] if seat.has(path) else [path]
            try:
                others = seat.lease(path)
            except Refused as refused:
                for each in fresh:  # a patch goes ahead whole or not at all
                    seat.give_back(each)
                _publish(seat, "guard.refused", path=path, shown=shown, holder=refused.holder.agent_id)
                return {"deny": wording.refusal(shown, refused.holder, _info(seat, refused.holder))}
            if others:
                warnings.append(wording.sharing(shown, others))
        return {"context": "\n".join(warnings)} if warnings else {}

    def _edited(self, seat: Seat, report: Report) -> Reply:
        if not seat.first_time(f"{report['kind']} {report.get('call', '')}"):
            return {}
        seat.keep()
        for path in report.get("paths", []):
            _publish(seat, "file.changed", path=path, shown=_shown(path))
        return _delivering(seat, urgent=True)

    def _worked(self, seat: Seat, _: Report) -> Reply:
        seat.tell(State.ACTIVE)
        seat.keep()
        return _delivering(seat, urgent=True)

    def _command(self, seat: Seat, report: Report) -> Reply:
        found = sweeping(report.get("command", ""), report["cwd"])
        if found is None:
            return {}
        checkout = repository.find(found.cwd)
        if checkout is None:
            return {}
        seat.tell(State.ACTIVE)
        here = [info for info in seat.me.sessions.active() if _works_in(info, checkout.root)]
        others = [info for info in here if family(info.agent_id) != family(seat.handle)]
        if not others:
            return {}
        if isinstance(found, Sweeping):
            _publish(seat, "guard.command_refused", command=found.command)
            return {"deny": wording.sweep_refusal(found, others)}
        return self._staging(seat, found, checkout)

    @staticmethod
    def _staging(seat: Seat, found: Staging, checkout: repository.Checkout) -> Reply:
        paths = [naming.real_path(path) for path in staged(found.cwd)]
        if not paths:
            return {}
        held = [h for h in seat.me.locks.held(naming.FILE) if family(h.agent_id) != family(seat.handle)]
        foreign: dict[str, Holder] = {}
        for path in paths:
            name = naming.file_lease(path)
            holder = next((holder for holder in held if covers(holder.name, name)), None)
            if holder is not None:
                foreign[naming.shown(checkout, path)] = holder
        if not foreign:
            return {}
        _publish(seat, "guard.command_refused", command=found.command)
        return {"deny": wording.staging_refusal(found, list(foreign), list(foreign.values()))}

    @staticmethod
    def _mail(seat: Seat, _: Report) -> Reply:
        return _delivering(seat)

    # Rests

    def _stop(self, seat: Seat, report: Report) -> Reply:
        """Deliver what came during the turn, which then goes on; once only, so that no turn is prolonged for ever."""
        reply: Reply = {} if report.get("again") else _delivering(seat)
        if not reply:
            seat.tell(State.IDLE)
            seat.renew(self._settings.rest)
        return reply

    def _needs_input(self, seat: Seat, report: Report) -> Reply:
        seat.tell(State.NEEDS_INPUT, needs=report.get("detail"))
        return {}

    def _failed(self, seat: Seat, report: Report) -> Reply:
        seat.tell(State.FAILED, needs=report.get("detail"))
        return {}


def _known(seat: Seat) -> Reply:
    """Return what later commands of the session should know."""
    return {"handle": seat.secret, "namespace": seat.me.namespace}


def _delivering(seat: Seat, *, urgent: bool = False) -> Reply:
    """Return the messages and notices that the session should see now."""
    notices = seat.take_notices()
    text, ids = seat.mail.show(urgent=urgent)
    context = "\n".join(part for part in (notices, text) if part)
    return {"context": context, "delivered": ids} if context else {}


def _publish(seat: Seat, kind: str, **facts: str) -> None:
    """Tell whoever follows; a store that is away changes nothing about what is told of."""
    with contextlib.suppress(BackendUnavailable):
        seat.me.events.publish(GUARD_TOPIC, {**facts, "session": seat.handle}, event_type=kind)


def _shown(path: str) -> str:
    return naming.shown(repository.find(os.path.dirname(path)), path)


def _info(seat: Seat, holder: Holder) -> SessionInfo | None:
    try:
        return seat.me.sessions.get(holder.agent_id)
    except BackendUnavailable:
        return None


def _works_in(info: SessionInfo, root: str) -> bool:
    return info.metadata.get("checkout") == root
