"""The contract as a program: a complete backend over plain dicts, meant to be read.

Every port of `comity.ports` in the fewest words that say what happens. Other backends are compared
with it step by step; where it and the contract disagree, the contract is right. It lives in one
process, keeps everything in memory, and takes one lock around each step.
"""

from comity.testing.model.backend import ModelBackend
from comity.testing.model.listener import ModelListener
from comity.testing.model.queue import conflicts
from comity.testing.model.world import World

__all__ = ["ModelBackend", "ModelListener", "World", "conflicts"]
