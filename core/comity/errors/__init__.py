"""Every error of Comity. Each says what happened, who or why, and what to do; the facts are attributes.

ComityError
├── BadInput (ValueError)                  a name, payload or argument; nothing was changed
│   ├── InvalidName, InvalidPayload, InvalidArgument
│   ├── InvalidSetting                     a URL, environment variable or settings value
│   ├── UnknownBackend, UnknownStrategy    with the known ones listed
│   └── NameTaken                          two plugins or strategies claim one name
├── BackendUnavailable (ConnectionError)   the store did not answer within the deadline
├── BackendUnfit                           the store answers but cannot serve: too old, full, no permission
│   └── BackendFull                        out of memory or disk; heartbeats and releases still work
├── HandleError (RuntimeError)             this handle cannot be used (any more)
│   ├── Closed, Forked, WrongLoop, NotAnnounced
├── SessionError
│   ├── AgentIdTaken                       a live session of another process has this id
│   ├── SessionLost                        this session ended without its doing
│   ├── NoSuchSession                      the named session is not live
│   └── InboxFull                          the named session's inbox takes no more signals
├── LockError
│   ├── LockTimeout (TimeoutError)         not had in time; names the holders
│   ├── LockLost                           the lease ended before its holder released it
│   ├── ConflictLost                       the strategy gave up
│   ├── StrategyFailed                     the strategy raised, or answered no Decision
│   ├── HolderChanged                      the lease to take over is not the one that holds any more
│   ├── Deadlock                           the wait could never end
│   └── LimitExceeded                      too many leases, ephemeral keys or claims in one session
├── StateError
│   ├── StateConflict                      the key has another version; shows what stands there
│   └── FenceRefused                       a newer token wrote the key, or the lease is over
├── TaskError
│   ├── ClaimLost                          the claim ended before it was completed or failed
│   ├── NoSuchTask                         no task has this id (any more)
│   └── TaskRefused                        the task is not in a state for that
├── PatternError
│   ├── NoSuchPattern                      never staged, or its time is over
│   ├── PatternDecided                     promoted or rejected already
│   └── PromotionUnfinished                decided, but the long-term store did not take it yet
└── AccessDenied (PermissionError)         the tier is too low; names the tier needed
"""

from comity.errors.backends import BackendFull, BackendUnavailable, BackendUnfit
from comity.errors.handles import Closed, Forked, HandleError, NotAnnounced, WrongLoop
from comity.errors.inputs import (
    BadInput,
    InvalidArgument,
    InvalidName,
    InvalidPayload,
    InvalidSetting,
    NameTaken,
    UnknownBackend,
    UnknownStrategy,
)
from comity.errors.locks import (
    ConflictLost,
    Deadlock,
    HolderChanged,
    LimitExceeded,
    LockError,
    LockLost,
    LockTimeout,
    StrategyFailed,
)
from comity.errors.patterns import NoSuchPattern, PatternDecided, PatternError, PromotionUnfinished
from comity.errors.root import AccessDenied, ComityError
from comity.errors.sessions import AgentIdTaken, NoSuchSession, SessionError, SessionLost
from comity.errors.signals import InboxFull
from comity.errors.state import FenceRefused, StateConflict, StateError
from comity.errors.tasks import ClaimLost, NoSuchTask, TaskError, TaskRefused

__all__ = [
    "AccessDenied",
    "AgentIdTaken",
    "BackendFull",
    "BackendUnavailable",
    "BackendUnfit",
    "BadInput",
    "ClaimLost",
    "Closed",
    "ComityError",
    "ConflictLost",
    "Deadlock",
    "FenceRefused",
    "Forked",
    "HandleError",
    "HolderChanged",
    "InboxFull",
    "InvalidArgument",
    "InvalidName",
    "InvalidPayload",
    "InvalidSetting",
    "LimitExceeded",
    "LockError",
    "LockLost",
    "LockTimeout",
    "NameTaken",
    "NoSuchPattern",
    "NoSuchSession",
    "NoSuchTask",
    "NotAnnounced",
    "PatternDecided",
    "PatternError",
    "PromotionUnfinished",
    "SessionError",
    "SessionLost",
    "StateConflict",
    "StateError",
    "StrategyFailed",
    "TaskError",
    "TaskRefused",
    "UnknownBackend",
    "UnknownStrategy",
    "WrongLoop",
]
