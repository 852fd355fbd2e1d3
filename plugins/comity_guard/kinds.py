"""What a report may be about: what the hook processes of every client have in common."""

from __future__ import annotations


class Kind:
    """What has happened. Plain strings: enum costs a hook process a millisecond."""

    START = "start"
    """A session began, was resumed, cleared or compacted: `source` tells."""
    PROMPT = "prompt"
    """The user has said something."""
    EDIT = "edit"
    """Files are about to be written: `paths`."""
    EDITED = "edited"
    """Files were written: `paths`."""
    COMMAND = "command"
    """A shell command is about to run: `command`."""
    WORKED = "worked"
    """A tool ran that wrote no file of its own."""
    STOP = "stop"
    """The turn is over; the session is idle."""
    NEEDS_INPUT = "needs_input"
    """The session waits for a person: `detail` says for what."""
    FAILED = "failed"
    """The turn ended by an error: `detail`."""
    MOVED = "moved"
    """The working directory is another."""
    SUBAGENT_START = "subagent_start"
    SUBAGENT_STOP = "subagent_stop"
    MAIL = "mail"
    """It asks for its messages, by a tool of its own."""
    END = "end"
    """The session is over."""
