"""What the store lists of a session beside what its process knows: what became of the rest, and how to end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import Ended

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity.claims import ClaimState
    from comity.model import Claimed, Own, Renewed, SessionRef
    from comity.ops import Op
    from comity.session import OwnSession

UNKNOWN = "the store no longer knows it"


def became(answer: Renewed | Ended, *, sure: bool) -> str | None:
    """Say what became of a lease that is gone without a note of its loss; None when it stands after all.

    Unless it is `sure`, the store may have lost the lease itself.
    """
    if not isinstance(answer, Ended):
        return None
    if answer.lost or not sure:
        return answer.reason or UNKNOWN
    return "another process that acts for its session released it"


def ghosts(session: OwnSession, ref: SessionRef, own: Own) -> list[Op[object]]:
    """Return the steps that end what the store still has although this process gave it up: it lost the end."""
    withdraw = session.backend.locks.withdraw
    return [withdraw(ref, request_id, keep=False) for request_id in session.holdings.ghosts(own)]


def ghost_claims(
    session: OwnSession, ref: SessionRef, own: Iterable[Claimed], known: Iterable[ClaimState]
) -> list[Op[object]]:
    """Correct which claims were `known` by the listing `own`, after the store may have lost something.

    Returns the steps that end again what the store still has although it was ended here.
    """
    over = session.claims.compare((each.request_id for each in own), known, UNKNOWN)
    withdraw = session.backend.tasks.withdraw
    return [end or withdraw(ref, request_id) for request_id, end in over.items()]
