"""What a backend promises. Read this first.

A backend is a set of ports; each method describes one atomic step and returns it as an `Op`, not yet
performed. Adapters therefore have no colour and do no waiting, retrying or deadline keeping.

Rules that hold for every step:

* It is applied wholly or not at all, correct with any number of processes and threads (X1).
* It reads the backend's own clock, once, and judges every deadline by it (X2). A session whose deadline
  has come, and a lease whose own time has run out, is over for this step even if nobody reaped it.
  A step that meets such a session in its way ends it wholly (as `Presence.reap`), at most one per step.
* Steps that change something are idempotent under their request id or incarnation: performed again
  they answer the present truth and change nothing more; arriving after their request ended
  (withdrawn, released, departed) they change nothing (X4). What is remembered for that covers 90 s at least.
* Refusals change nothing.
* A record that cannot be read is skipped and reported through `comity.logs.corrupt`, never raised (X7).
* Every event of a step is published by that very step.

Names and payloads arrive validated. Durations are integer milliseconds.
"""

from comity.ports.backend import Backend, Capability
from comity.ports.conflicts import Conflicts
from comity.ports.listener import Listener
from comity.ports.locks import Locks
from comity.ports.presence import Presence
from comity.ports.pubsub import PubSub
from comity.ports.signals import Signals
from comity.ports.state import State
from comity.ports.tasks import Tasks

__all__ = [
    "Backend",
    "Capability",
    "Conflicts",
    "Listener",
    "Locks",
    "Presence",
    "PubSub",
    "Signals",
    "State",
    "Tasks",
]
