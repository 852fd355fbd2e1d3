"""Chance for pauses, from a source of its own: the `random` that a program has seeded stays as it was."""

from __future__ import annotations

import random

_SOURCE = random.Random()

uniform = _SOURCE.uniform
"""Return a number between two."""
chance = _SOURCE.random
"""Return a number from 0 to below 1."""
