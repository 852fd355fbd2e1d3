"""Where a namespace lives in Redis: a fixed set of keys with one hash tag, ``comity:{namespace}:...``.

So a namespace is one slot of a cluster, every script may run there, and nothing ever has to search.
In key names the characters ``{ } : %`` of a namespace or topic are percent-encoded. FS is the byte
1f, RS the byte 1e; names cannot hold either (rule X6), and free text is cleaned of them (`plain`).

`o` is a session: agent id FS incarnation. Tokens and queue numbers are 16 digits, times in text
are milliseconds, a mode is ``x`` or ``s``. Sorted sets marked *lex* have score 0 throughout and are
read in byte order.

========  ======  ==========================================================================================
key       type    content
========  ======  ==========================================================================================
live      zset    o -> deadline in ms
leases    hash    agent id -> incarnation FS ttl FS interval FS start FS process;
                  agent id FS ``v`` -> how often others changed what it holds (`Beat.version`)
records   hash    agent id -> incarnation FS start FS revision FS ttl FS interval FS record (`encode_session`)
locks     hash    name -> mode, grant counter, then per holder in grant order
                  RS token FS request FS o FS since FS due (0: none) FS renewal FS flow; holders that
                  are over stay, before the others, until a step about the name does away with them;
                  the empty name -> the last token
past      hash    name -> grant counter RS, then per session, at most 16, token FS entry FS o RS
own       lex     o FS ``q`` FS request FS name: a request that holds or waits;
                  o FS ``w`` FS flow FS request: one that waits, by the flow that asks;
                  o FS ``p`` FS entry FS name: a past claim, at most 1,000, in the order in which they
                  began (``entry`` is the token of then);
                  o FS ``e`` FS key: it ends with the session;
                  o FS ``n`` FS version (10 digits) FS request FS token FS name FS reason: a loss not yet
                  acknowledged, at most 1,000; o FS ``v`` FS name: it is part of a verdict on the name;
                  FS ``m`` FS mark: the one in ``tasks``;
                  FS mode FS name: a name with a ``/`` that is held, to be found from the areas above it;
                  o FS ``t`` FS request FS task: a claim; o FS ``c`` FS request FS number FS listener FS
                  queue: a claim that waits
queue     lex     name FS rank (9999 - priority, 5 digits) FS number FS mode FS request FS o FS ttl (0: none)
                  FS since FS until when it keeps its place (0: as its session lives) FS listener FS flow FS kind:
                  one waiting request, every name's queue being one range;
                  FS until when (16 digits) FS request: one that keeps its place for some time only
ids       hash    request that waits -> its queue member; lost request or ended o -> ``!`` reason;
                  FS publication -> ``!`` epoch FS number; FS settlement or breaking -> ``!`` its answer
ended     zset    request, o, FS settlement, breaking or eviction that is over -> when, in ms, plus how:
                  .0 withdrawn, .25 released (or departed), .5 taken away (or expired); kept 90 s, at
                  most 200,000
meta      hash    members: the membership version; interval: the longest between
                  heartbeats since the namespace was last empty; corrupt: records found unreadable;
                  signal: number of the last signal; waited: nothing, written before a WAIT (`frame`);
                  topic:<topic> -> epoch FS number of its last event; but for the system topic, then FS when
                  the last mark was made FS until when the stream is kept FS marks, each ``ms:number`` and
                  a space: up to this number all events are at least that old; of ``comity.state`` instead FS
                  bytes in all FS marks, each ``bytes:number`` and a space: so many there were up to this number
verdicts  hash    name -> grant counter, then per decision RS winner's o FS loser's o FS strategy FS reason;
                  void once the counter is another
heads     hash    key of the state -> version FS due (0: none) FS fence, the newest token that wrote it FS owner, the
                  session o it ends with or nothing; of a key that is gone and was fenced, version 0 and until when
                  that is remembered
state     lex     key FS version FS when FS due FS agent id FS owner, two fields FS value (JSON): what stands;
                  FS ``d`` due (16 digits) FS key: when it expires; FS ``x`` due FS key: when a fence is forgotten
tasks     hash    task -> status (r ready, d delayed, b blocked, c claimed, f done, x dead) FS queue FS batch FS
                  dedupe key FS rank (as in ``queue``) FS number FS most attempts FS pushed FS ``h`` (by a person)
                  or ``a``, and the agent id that pushed it FS attempts FS since FS due (0: no delay) FS end of the
                  claim's own time (0: none) FS token FS request FS o of the last claim FS number of its end, 16
                  digits FS duration FS error;
                  FS ``d`` FS task -> the tasks it waits for, parted by FS; FS ``k`` FS queue FS dedupe key ->
                  the task that has it; FS ``q`` FS queue, FS ``b`` FS batch -> counts: ready, delayed,
                  blocked, claimed, dead, done ever, done and kept, sum of durations; FS ``n`` -> epoch FS number of
                  the last end; FS ``m`` -> a mark that ``own`` and ``lines`` have too, unless the server lost them
lines     lex     ``r`` FS queue FS rank FS number FS task, ready; ``d`` FS queue FS due (14 digits) FS number FS
                  task; ``b`` FS queue FS number FS task; ``c`` FS queue FS token FS task; ``f``, ``x`` FS queue FS
                  number of the end FS task; ``g`` FS batch FS number of the end FS task; ``q`` FS queue: one
                  of which a task is kept; ``p`` FS task FS task that depends on it; ``w`` FS queue FS number
                  FS request FS o FS listener: a claim that waits;
                  ``0`` FS task FS ``f``, ``x`` or ``r`` (removed) FS task: how it ended, and the last
                  of its dependents that knows; ``0`` FS task FS ``l`` FS: to be looked at again after a loss;
                  ``m`` FS mark: the one in ``tasks``; ``1`` FS end of a claim's own time (14 digits) FS task
finished  stream  ends of tasks: the entry ``<number>-0`` has the fields ``i`` task, ``q`` queue, ``b`` batch, ``s``
                  status, ``n`` attempts, ``d`` duration, ``a`` milliseconds, ``e`` error, ``r`` result
payloads  hash    task -> payload
topics    zset    topic -> when its numbers are forgotten, in ms; its stream is gone before
published zset    FS publication or write of the state -> when, in ms; kept 90 s, at most 200,000
cursors   hash    cursor -> per topic, parted by RS, topic FS epoch FS number, of 20 digits both
inbox     lex     agent id FS ``n`` FS number FS until FS signal FS type: a signal in its inbox, all of an
                  agent's being one range; agent id FS ``u`` FS until FS signal: the same by its end.
                  Number and time have 16 digits
signals   hash    signal -> state, one of ``q`` queued, ``s`` seen, ``a`` acknowledged, ``e`` expired, FS
                  recipient FS number FS until FS sent FS seen (0: not) FS ended (0: not) FS broadcast or
                  nothing FS sender FS type; broadcast -> ``b``, then per recipient RS ``d`` delivered or ``f``
                  inbox full, agent id
bodies    hash    signal or broadcast -> payload; broadcast FS -> how many of its signals are in an inbox
due       zset    signal in an inbox -> when it expires, in ms
over      zset    signal that is acknowledged or expired, or broadcast -> when that is forgotten, in
                  ms: after an hour; at most 200,000
t:<topic> stream  events, see below; ``t:comity`` is the system topic, ``t:comity.state`` has the changes of the state
========  ======  ==========================================================================================

The grant counter of a name is in its lock while it is held, else in `past`, else in `verdicts`, else 0.

Events. The entry with id ``<number>-0`` has the fields ``t`` type, ``a`` milliseconds, ``s`` sender and
``p`` payload. The publishing step takes the number after that in ``topic:<topic>``, or 1 and a new
epoch (its clock in microseconds) when there is none there or the stream refuses the number; then it
deletes what the stream holds, writes the number back and publishes it on the topic's channel.

Retention. A stream is trimmed by its publishing steps, and is the only key that expires: once nobody has
published for as long as its events are kept and a while more. Its numbers go on for as long again, and an
hour at least, after which they are forgotten by some later step that publishes, and the topic is as new.
So what is kept of topics is bounded by how many were in use in that time.

Channels. ``l:<address>`` one listener: ``g`` FS name FS request FS token FS own ttl (0: none) FS
microseconds, a grant, and ``t`` FS request, a claim that should ask again; on the session's channel when
the request named no listener. ``s:<o>`` a
session: ``l`` FS name FS request FS token FS reason, a loss; ``m``, a signal; ``n``, news. ``n`` everybody: ``h``,
hurry. ``p:<topic>`` who follows a topic: the number of its new event. ``moved``, sharded: nothing is said there,
but a cluster's node ends the subscription when it no longer serves the namespace.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from comity.model import STATE_TOPIC, SYSTEM_TOPIC

if TYPE_CHECKING:
    from comity.model import SessionRef

FS: Final = "\x1f"
RS: Final = "\x1e"

_FIXED = (
    "live",
    "leases",
    "records",
    "locks",
    "past",
    "own",
    "queue",
    "ids",
    "ended",
    "meta",
    "verdicts",
    "heads",
    "state",
    "tasks",
    "lines",
    "finished",
)
_TASKS = ("payloads",)
"""Keys that only the scripts about tasks take."""
_EVENTS = ("topics", "published", "cursors")
"""Keys that only the scripts about events take."""
_SIGNALS = ("inbox", "signals", "bodies", "due", "over")
"""Keys that only the scripts about signals take."""

_RESERVED = str.maketrans({char: f"%{ord(char):02X}" for char in "%{}:"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def encoded(name: str) -> str:
    """Return a namespace or topic as it stands in a key."""
    return name.translate(_RESERVED)


def plain(text: str) -> str:
    """Return free text with every control character replaced by a space: some of them part fields."""
    return text if text.isprintable() else _CONTROL.sub(" ", text)


def owner(session: SessionRef) -> str:
    """Return a session as it stands in records and channels."""
    return f"{session.agent_id}{FS}{session.incarnation}"


class Keys:
    """The keys and channels of one namespace."""

    __slots__ = ("_named", "fixed", "prefix")

    def __init__(self, namespace: str) -> None:
        self.prefix = f"comity:{{{encoded(namespace)}}}:"
        self.fixed = (*(self.prefix + name for name in _FIXED), self.topic(STATE_TOPIC), self.topic(SYSTEM_TOPIC))
        """In the order in which scripts take them (``scripts/_keys.lua``)."""
        self._named = {name: self.prefix + name for name in (*_FIXED, *_EVENTS, *_SIGNALS, *_TASKS)}

    def __getitem__(self, name: str) -> str:
        """Return the key called `name` in the table above."""
        return self._named[name]

    @property
    def all(self) -> set[str]:
        """Every key but the streams of topics."""
        return {*self.fixed, *self._named.values()}

    def topic(self, topic: str) -> str:
        """Return the key of a topic's events."""
        return f"{self.prefix}t:{encoded(topic)}"

    def news_of(self, topic: str) -> bytes:
        """Return the channel that tells of a topic's new events."""
        return f"{self.prefix}p:{encoded(topic)}".encode()

    def ear(self, address: str) -> bytes:
        """Return the channel of one listener."""
        return f"{self.prefix}l:{address}".encode()

    def session(self, session: SessionRef) -> bytes:
        """Return the channel of a session."""
        return f"{self.prefix}s:{owner(session)}".encode()

    @property
    def everybody(self) -> bytes:
        """The channel that every session hears."""
        return f"{self.prefix}n".encode()
