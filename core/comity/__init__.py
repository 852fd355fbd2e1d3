"""Coordination for concurrent agent sessions: presence, fair locks with fencing, events, conflicts."""
