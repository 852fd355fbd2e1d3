"""Values about conflicts: who contests what, what was decided and why."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from comity.model.locks import Granted, Holder, LockRequest
    from comity.model.sessions import SessionInfo, SessionRef


class ConflictStrategy(enum.StrEnum):
    """The built-in strategies by their registered names."""

    PRIORITY_BASED = "priority"
    FIRST_WRITE_WINS = "first_write"
    LAST_WRITE_WINS = "last_write"


class Claim(enum.StrEnum):
    """What a session's claim on a name rests on, the strongest first."""

    LEASE = "lease"
    WAITING = "waiting"
    PAST = "past"
    NONE = "none"


@attrs.frozen
class Party:
    """One session's standing in a contest, as one atomic read saw it.

    `live`: False when no such session lives; then `info` is None. `claim_us`: server time of the lease's grant, of
    joining the queue, or of the latest grant; 0 without a claim. `tokens`: of the leases it holds on
    the name. `incarnation` is a secret of the session's, and empty where a strategy sees it.
    """

    agent_id: str
    incarnation: str = attrs.field(repr=False)
    info: SessionInfo | None
    claim: Claim
    claim_us: int
    tokens: tuple[int, ...] = ()

    @property
    def live(self) -> bool:
        """Whether the session lives."""
        return self.info is not None


@attrs.frozen
class Verdict:
    """One decided pair: who wins the name over whom, by which strategy, and why."""

    winner: SessionRef
    loser: SessionRef
    strategy: str
    reason: str


@attrs.frozen
class Contest:
    """The facts about a name, read in one step.

    `counter`: the name's grant counter: the token of the latest grant that no decision made (0: never
    granted). `parties`: the sessions asked for and every holder's, by agent id. `standing`: verdicts
    on record between any two of the parties under this counter.
    """

    name: str
    counter: int
    holders: tuple[Holder, ...]
    parties: tuple[Party, ...]
    standing: tuple[Verdict, ...]
    at_us: int = 0


@attrs.frozen
class Settlement:
    """A decision to record, and to enforce, by compare-and-set.

    It is valid only while the name's grant counter is `counter` and its holders' tokens are `tokens`
    (ascending, each once). `take`: the request that takes the name over when every verdict that stands makes
    its session the winner over every holder; None to hand it only to a request of the winner that waits already.
    """

    request_id: str
    name: str
    counter: int
    tokens: tuple[int, ...]
    verdicts: tuple[Verdict, ...]
    take: LockRequest | None = None


@attrs.frozen
class Settled:
    """`standing`: the verdict on record for each pair asked, in order: the first recorded one.

    `granted`: the grant that the decision made for `take`, or None.
    """

    standing: tuple[Verdict, ...]
    granted: Granted | None = None
    at_us: int = 0


@attrs.frozen
class Conflict:
    """What a strategy decides on: two sessions that want one name. All times in seconds.

    `asker` asks against `other`. `acquiring`: inside ``locks.acquire`` (the request is then the
    asker's claim) rather than ``conflicts.resolve``. `waited`: how long the asker has waited so far.
    `held_for`: how long `other` has held the name, None when it does not hold it.
    """

    name: str
    asker: Party
    other: Party
    acquiring: bool = False
    waited: float = 0.0
    held_for: float | None = None


class Action(enum.Enum):
    """What a strategy may answer."""

    TAKE = "take"
    WAIT = "wait"
    GIVE_UP = "give_up"


@attrs.frozen
class Decision:
    """A strategy's answer with its reason; made by `Take`, `Wait` and `GiveUp`."""

    action: Action
    reason: str
    ask_again_in: float | None = None


def Take(reason: str) -> Decision:  # noqa: N802 - reads as a value in strategies
    """Answer that the asker wins and takes the name over."""
    return Decision(Action.TAKE, reason)


def Wait(reason: str, *, ask_again_in: float | None = None) -> Decision:  # noqa: N802 - reads as a value in strategies
    """Answer that the other wins and the asker waits its turn.

    `ask_again_in`: seconds after which the strategy wants to be asked again though nothing happened, such as
    to give up when it has waited long enough; each time costs two round trips, and 0.05 s is the soonest.
    Without it, it is asked again when the waiter looks at the store anyway.
    """
    return Decision(Action.WAIT, reason, ask_again_in)


def GiveUp(reason: str) -> Decision:  # noqa: N802 - reads as a value in strategies
    """Answer that the other wins and the asker stops asking."""
    return Decision(Action.GIVE_UP, reason)


@attrs.frozen
class ConflictResult:
    """Who won a contest, by which strategy, and why.

    `strategy_used` is the strategy of the decision that stands: an earlier one's where one stood already.
    """

    resource: str
    winner: str
    loser: str
    strategy_used: str
    reason: str
    token: int = 0
