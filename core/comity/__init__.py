"""Coordination for concurrent agent sessions: presence, fair locks with fencing, events, conflicts.

Every public name is resolved on first touch, so that ``import comity`` itself costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which is half of what importing this would cost
if TYPE_CHECKING:
    from comity._async.attach import aattach as aattach
    from comity._async.claiming import AsyncClaim as AsyncClaim
    from comity._async.connect import aconnect as aconnect
    from comity._async.coordinator import AsyncCoordinator as AsyncCoordinator
    from comity._async.events import AsyncSubscription as AsyncSubscription
    from comity._async.inbox import AsyncInbox as AsyncInbox
    from comity._async.inbox import AsyncSignal as AsyncSignal
    from comity._async.leases import AsyncLease as AsyncLease
    from comity._async.service.service import AsyncBackgroundService as AsyncBackgroundService
    from comity._async.service.service import aget_or_start_service as aget_or_start_service
    from comity._async.state_watch import AsyncStateWatch as AsyncStateWatch
    from comity._async.watch import AsyncWatch as AsyncWatch
    from comity._async.worker import AsyncWorker as AsyncWorker
    from comity._sync.attach import attach as attach
    from comity._sync.claiming import Claim as Claim
    from comity._sync.connect import connect as connect
    from comity._sync.coordinator import Coordinator as Coordinator
    from comity._sync.events import Subscription as Subscription
    from comity._sync.inbox import Inbox as Inbox
    from comity._sync.inbox import Signal as Signal
    from comity._sync.leases import Lease as Lease
    from comity._sync.service.service import BackgroundService as BackgroundService
    from comity._sync.service.service import get_or_start_service as get_or_start_service
    from comity._sync.state_watch import StateWatch as StateWatch
    from comity._sync.watch import Watch as Watch
    from comity._sync.worker import Worker as Worker
    from comity.aggregates import Aggregate as Aggregate
    from comity.errors import AccessDenied as AccessDenied
    from comity.errors import AgentIdTaken as AgentIdTaken
    from comity.errors import BackendFull as BackendFull
    from comity.errors import BackendUnavailable as BackendUnavailable
    from comity.errors import BackendUnfit as BackendUnfit
    from comity.errors import BadInput as BadInput
    from comity.errors import ClaimLost as ClaimLost
    from comity.errors import Closed as Closed
    from comity.errors import ComityError as ComityError
    from comity.errors import ConflictLost as ConflictLost
    from comity.errors import Deadlock as Deadlock
    from comity.errors import FenceRefused as FenceRefused
    from comity.errors import Forked as Forked
    from comity.errors import HandleError as HandleError
    from comity.errors import HolderChanged as HolderChanged
    from comity.errors import InboxFull as InboxFull
    from comity.errors import InvalidArgument as InvalidArgument
    from comity.errors import InvalidName as InvalidName
    from comity.errors import InvalidPayload as InvalidPayload
    from comity.errors import InvalidSetting as InvalidSetting
    from comity.errors import LimitExceeded as LimitExceeded
    from comity.errors import LockError as LockError
    from comity.errors import LockLost as LockLost
    from comity.errors import LockTimeout as LockTimeout
    from comity.errors import NameTaken as NameTaken
    from comity.errors import NoSuchPattern as NoSuchPattern
    from comity.errors import NoSuchSession as NoSuchSession
    from comity.errors import NoSuchTask as NoSuchTask
    from comity.errors import NotAnnounced as NotAnnounced
    from comity.errors import PatternDecided as PatternDecided
    from comity.errors import PatternError as PatternError
    from comity.errors import PromotionUnfinished as PromotionUnfinished
    from comity.errors import SessionError as SessionError
    from comity.errors import SessionLost as SessionLost
    from comity.errors import StateConflict as StateConflict
    from comity.errors import StateError as StateError
    from comity.errors import StrategyFailed as StrategyFailed
    from comity.errors import TaskError as TaskError
    from comity.errors import TaskRefused as TaskRefused
    from comity.errors import UnknownBackend as UnknownBackend
    from comity.errors import UnknownStrategy as UnknownStrategy
    from comity.errors import WrongLoop as WrongLoop
    from comity.events import Event as Event
    from comity.events import Gap as Gap
    from comity.events import Position as Position
    from comity.hookspecs import hookimpl as hookimpl
    from comity.jobs import Job as Job
    from comity.jobs import Turn as Turn
    from comity.model.conflicts import Conflict as Conflict
    from comity.model.conflicts import ConflictResult as ConflictResult
    from comity.model.conflicts import ConflictStrategy as ConflictStrategy
    from comity.model.conflicts import Decision as Decision
    from comity.model.conflicts import GiveUp as GiveUp
    from comity.model.conflicts import Party as Party
    from comity.model.conflicts import Take as Take
    from comity.model.conflicts import Wait as Wait
    from comity.model.locks import Contender as Contender
    from comity.model.locks import Holder as Holder
    from comity.model.locks import Mode as Mode
    from comity.model.service import JobReport as JobReport
    from comity.model.service import ServiceStatus as ServiceStatus
    from comity.model.sessions import AccessTier as AccessTier
    from comity.model.sessions import AgentCredentials as AgentCredentials
    from comity.model.sessions import Liveness as Liveness
    from comity.model.sessions import SessionInfo as SessionInfo
    from comity.model.sessions import SessionType as SessionType
    from comity.model.sessions import generate_agent_id as generate_agent_id
    from comity.model.signals import Broadcast as Broadcast
    from comity.model.signals import SignalState as SignalState
    from comity.model.signals import SignalStatus as SignalStatus
    from comity.model.tasks import FinishedTask as FinishedTask
    from comity.model.tasks import Origin as Origin
    from comity.model.tasks import Task as Task
    from comity.model.tasks import TaskSlice as TaskSlice
    from comity.model.tasks import TaskStats as TaskStats
    from comity.model.tasks import TaskStatus as TaskStatus
    from comity.patterns import Pattern as Pattern
    from comity.patterns import PatternStatus as PatternStatus
    from comity.ports import Backend as Backend
    from comity.ports import Capability as Capability
    from comity.presence import Joined as Joined
    from comity.presence import Left as Left
    from comity.presence import Snapshot as Snapshot
    from comity.presence import Updated as Updated
    from comity.probes import Probe as Probe
    from comity.state import StateEntry as StateEntry
    from comity.state import StateGone as StateGone
    from comity.state import StatePut as StatePut
    from comity.state import StateSnapshot as StateSnapshot
    from comity.strategies import Strategy as Strategy
    from comity.tasks import FinishedPage as FinishedPage

__version__ = "0.1.0"

_HOMES = {
    "_async.attach": "aattach",
    "_async.claiming": "AsyncClaim",
    "_async.connect": "aconnect",
    "_async.coordinator": "AsyncCoordinator",
    "_async.events": "AsyncSubscription",
    "_async.inbox": "AsyncInbox AsyncSignal",
    "_async.leases": "AsyncLease",
    "_async.state_watch": "AsyncStateWatch",
    "_async.service.service": "AsyncBackgroundService aget_or_start_service",
    "_async.watch": "AsyncWatch",
    "_async.worker": "AsyncWorker",
    "_sync.attach": "attach",
    "_sync.claiming": "Claim",
    "_sync.connect": "connect",
    "_sync.coordinator": "Coordinator",
    "_sync.events": "Subscription",
    "_sync.inbox": "Inbox Signal",
    "_sync.leases": "Lease",
    "_sync.state_watch": "StateWatch",
    "_sync.service.service": "BackgroundService get_or_start_service",
    "_sync.watch": "Watch",
    "_sync.worker": "Worker",
    "aggregates": "Aggregate",
    "errors": (
        "AccessDenied AgentIdTaken BackendFull BackendUnavailable BackendUnfit BadInput ClaimLost Closed "
        "ComityError ConflictLost Deadlock FenceRefused Forked HandleError HolderChanged InboxFull "
        "InvalidArgument InvalidName InvalidPayload InvalidSetting LimitExceeded LockError LockLost LockTimeout "
        "NameTaken NoSuchPattern NoSuchSession NoSuchTask NotAnnounced PatternDecided PatternError "
        "PromotionUnfinished SessionError SessionLost StateConflict StateError StrategyFailed TaskError "
        "TaskRefused UnknownBackend UnknownStrategy WrongLoop"
    ),
    "events": "Event Gap Position",
    "hookspecs": "hookimpl",
    "jobs": "Job Turn",
    "model.conflicts": "Conflict ConflictResult ConflictStrategy Decision GiveUp Party Take Wait",
    "model.locks": "Contender Holder Mode",
    "model.service": "JobReport ServiceStatus",
    "model.sessions": "AccessTier AgentCredentials Liveness SessionInfo SessionType generate_agent_id",
    "model.signals": "Broadcast SignalState SignalStatus",
    "model.tasks": "FinishedTask Origin Task TaskSlice TaskStats TaskStatus",
    "patterns": "Pattern PatternStatus",
    "ports": "Backend Capability",
    "presence": "Joined Left Snapshot Updated",
    "probes": "Probe",
    "state": "StateEntry StateGone StatePut StateSnapshot",
    "strategies": "Strategy",
    "tasks": "FinishedPage",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first touch (PEP 562)."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'comity' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"comity.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_HOME_OF, "__version__"])
