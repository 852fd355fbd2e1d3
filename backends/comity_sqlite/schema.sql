-- One file holds any number of namespaces ("spaces"); every row belongs to one of them by its number.
-- `*_us` on the host's monotonic clock: due_us, since_us, at_us. `*_ms` on the wall clock: what people see.
-- A row that another program spoiled must not break a reader: queries join inwards, so an orphan is
-- not seen, and the checks keep text out of the columns that order things.
--
-- A file of an older layout is brought up to date by running all of this again: new tables and indexes
-- appear. What changes a table that was there goes into `_CHANGES` of schema.py besides.

CREATE TABLE IF NOT EXISTS host (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    boot    TEXT    NOT NULL,                       -- which boot of the machine the *_us columns count from
    mono_us INTEGER NOT NULL CHECK (typeof(mono_us) = 'integer')  -- the latest reading written
);

CREATE TABLE IF NOT EXISTS spaces (
    id      INTEGER PRIMARY KEY,
    name    TEXT    NOT NULL UNIQUE,
    token   INTEGER NOT NULL DEFAULT 0 CHECK (typeof(token) = 'integer'),    -- last fencing token or queue number
    members INTEGER NOT NULL DEFAULT 0 CHECK (typeof(members) = 'integer'),  -- version of the membership
    hurry   INTEGER NOT NULL DEFAULT 0 CHECK (typeof(hurry) = 'integer')     -- counts short-lived announcements
);

-- The small part of a session, rewritten by each heartbeat; what it tells of itself lies in `records`.
CREATE TABLE IF NOT EXISTS sessions (
    id          INTEGER PRIMARY KEY,
    space       INTEGER NOT NULL,
    agent_id    TEXT    NOT NULL,
    incarnation TEXT    NOT NULL,
    started_ms  INTEGER NOT NULL CHECK (typeof(started_ms) = 'integer'),
    beat_ms     INTEGER NOT NULL CHECK (typeof(beat_ms) = 'integer'),
    due_us      INTEGER NOT NULL CHECK (typeof(due_us) = 'integer'),
    ttl_ms      INTEGER NOT NULL CHECK (typeof(ttl_ms) = 'integer'),
    interval_ms INTEGER NOT NULL CHECK (typeof(interval_ms) = 'integer'),
    version     INTEGER NOT NULL CHECK (typeof(version) = 'integer'),
    process     TEXT    NOT NULL,
    UNIQUE (space, agent_id)
);
CREATE INDEX IF NOT EXISTS sessions_due ON sessions (space, due_us);

CREATE TABLE IF NOT EXISTS records (
    session INTEGER PRIMARY KEY,
    body    BLOB NOT NULL
);

-- One lock request from its first appearance to its end: waiting (held = 0), then held (held = 1).
CREATE TABLE IF NOT EXISTS requests (
    id         INTEGER PRIMARY KEY,
    space      INTEGER NOT NULL,
    request_id TEXT    NOT NULL,
    session    INTEGER NOT NULL,
    held       INTEGER NOT NULL CHECK (held IN (0, 1)),
    priority   INTEGER NOT NULL CHECK (typeof(priority) = 'integer'),
    number     INTEGER NOT NULL CHECK (typeof(number) = 'integer'),  -- queue number, once held the token
    since_ms   INTEGER NOT NULL CHECK (typeof(since_ms) = 'integer'),
    since_us   INTEGER NOT NULL CHECK (typeof(since_us) = 'integer'),
    ttl_ms     INTEGER CHECK (typeof(ttl_ms) IN ('integer', 'null')),
    due_us     INTEGER CHECK (typeof(due_us) IN ('integer', 'null')),  -- end of the lease's own time; of the place in line, while it waits
    renewal    INTEGER NOT NULL DEFAULT 0,
    version    INTEGER NOT NULL DEFAULT 0,  -- of the session, by the hand-off that granted it; else 0
    flow       TEXT    NOT NULL,
    listener   TEXT    NOT NULL,
    pool       INTEGER NOT NULL DEFAULT 0,  -- 1 when one of its names will do
    weight     INTEGER NOT NULL DEFAULT 1,  -- how many names it holds, or would
    UNIQUE (space, request_id)
);
CREATE INDEX IF NOT EXISTS requests_session ON requests (session, version);
CREATE INDEX IF NOT EXISTS requests_waiting ON requests (session, flow) WHERE held = 0;
CREATE INDEX IF NOT EXISTS requests_placed ON requests (space, due_us) WHERE held = 0;

-- The names of a request: a name's holders in order of their tokens, then its queue in order.
CREATE TABLE IF NOT EXISTS wants (
    space   INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    held    INTEGER NOT NULL,
    urgency INTEGER NOT NULL,  -- minus the priority; 0 once held
    number  INTEGER NOT NULL,
    request INTEGER NOT NULL,
    shared  INTEGER NOT NULL CHECK (shared IN (0, 1)),
    pref    INTEGER NOT NULL DEFAULT 0,  -- its place among the names of the request; 0 is the first
    PRIMARY KEY (space, name, held, urgency, number, request)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS wants_request ON wants (request);

-- The grant counter of each name of which there is a request, a past claim or a standing verdict.
CREATE TABLE IF NOT EXISTS names (
    space   INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    counter INTEGER NOT NULL,
    PRIMARY KEY (space, name)
) WITHOUT ROWID;

-- The latest grant that each live session had of a name.
CREATE TABLE IF NOT EXISTS past (
    space   INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    session INTEGER NOT NULL,
    token   INTEGER NOT NULL,
    PRIMARY KEY (space, name, session)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS past_session ON past (session, token);

CREATE TABLE IF NOT EXISTS losses (
    session    INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    request_id TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    token      INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    PRIMARY KEY (session, version)
) WITHOUT ROWID;

-- What is remembered so that a retried or late step has no second effect: ended ids, by kind.
CREATE TABLE IF NOT EXISTS ended (
    id     INTEGER PRIMARY KEY,
    space  INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    key    TEXT    NOT NULL,
    at_us  INTEGER NOT NULL,
    how    INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    epoch  INTEGER NOT NULL DEFAULT 0,
    number INTEGER NOT NULL DEFAULT 0,
    UNIQUE (space, kind, key)
);

-- Decisions between two sessions (low < high) about a name, standing while its counter is `counter`.
CREATE TABLE IF NOT EXISTS verdicts (
    id       INTEGER PRIMARY KEY,
    space    INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    low      INTEGER NOT NULL,
    high     INTEGER NOT NULL,
    counter  INTEGER NOT NULL,
    winner   INTEGER NOT NULL,
    strategy TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    UNIQUE (space, name, low, high)
);
CREATE INDEX IF NOT EXISTS verdicts_low ON verdicts (low);
CREATE INDEX IF NOT EXISTS verdicts_high ON verdicts (high);

CREATE TABLE IF NOT EXISTS topics (
    id    INTEGER PRIMARY KEY,
    space INTEGER NOT NULL,
    name  TEXT    NOT NULL,
    epoch INTEGER NOT NULL CHECK (typeof(epoch) = 'integer'),
    last  INTEGER NOT NULL CHECK (typeof(last) = 'integer'),
    UNIQUE (space, name)
);

CREATE TABLE IF NOT EXISTS events (
    topic   INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL CHECK (typeof(at_ms) = 'integer'),
    type    TEXT    NOT NULL,
    sender  TEXT    NOT NULL,
    payload BLOB    NOT NULL,
    PRIMARY KEY (topic, number)
);

CREATE TABLE IF NOT EXISTS cursors (
    space  INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    topic  TEXT    NOT NULL,
    epoch  INTEGER NOT NULL CHECK (typeof(epoch) = 'integer'),
    number INTEGER NOT NULL CHECK (typeof(number) = 'integer'),
    PRIMARY KEY (space, name, topic)
) WITHOUT ROWID;

-- Signals by recipient: in the inbox until `ended_ms` is set, then remembered for a while.
CREATE TABLE IF NOT EXISTS signals (
    id        INTEGER PRIMARY KEY,
    space     INTEGER NOT NULL,
    signal_id TEXT    NOT NULL,
    recipient TEXT    NOT NULL,
    sequence  INTEGER NOT NULL CHECK (typeof(sequence) = 'integer'),
    sender    TEXT    NOT NULL,
    type      TEXT    NOT NULL,
    body      INTEGER NOT NULL,
    sent_ms   INTEGER NOT NULL CHECK (typeof(sent_ms) = 'integer'),
    until_ms  INTEGER NOT NULL CHECK (typeof(until_ms) = 'integer'),
    seen_ms   INTEGER CHECK (typeof(seen_ms) IN ('integer', 'null')),
    ended_ms  INTEGER CHECK (typeof(ended_ms) IN ('integer', 'null')),
    acked     INTEGER NOT NULL DEFAULT 0 CHECK (acked IN (0, 1)),  -- how it ended
    UNIQUE (space, signal_id)
);
CREATE INDEX IF NOT EXISTS signals_inbox ON signals (space, recipient, sequence, until_ms) WHERE ended_ms IS NULL;
CREATE INDEX IF NOT EXISTS signals_ends ON signals (space, recipient, until_ms, sequence) WHERE ended_ms IS NULL;
CREATE INDEX IF NOT EXISTS signals_due ON signals (until_ms) WHERE ended_ms IS NULL;
CREATE INDEX IF NOT EXISTS signals_over ON signals (ended_ms) WHERE ended_ms IS NOT NULL;

-- What they say; the signals of a broadcast share one.
CREATE TABLE IF NOT EXISTS bodies (
    id      INTEGER PRIMARY KEY,
    space   INTEGER NOT NULL,
    signals INTEGER NOT NULL,  -- how many of them are in an inbox
    payload BLOB    NOT NULL
);

-- The state, in the order of its keys' bytes.
CREATE TABLE IF NOT EXISTS entries (
    id      INTEGER PRIMARY KEY,
    space   INTEGER NOT NULL,
    key     BLOB    NOT NULL CHECK (typeof(key) = 'blob'),
    version INTEGER NOT NULL CHECK (typeof(version) = 'integer'),
    at_ms   INTEGER NOT NULL CHECK (typeof(at_ms) = 'integer'),
    due_ms  INTEGER CHECK (typeof(due_ms) IN ('integer', 'null')),  -- end of its own time, wall clock
    fence   INTEGER NOT NULL CHECK (typeof(fence) = 'integer'),     -- newest token that wrote the key, 0: none
    session INTEGER CHECK (typeof(session) IN ('integer', 'null')), -- the one it ends with
    writer  TEXT    NOT NULL,
    value   BLOB    NOT NULL,
    UNIQUE (space, key)
);
CREATE INDEX IF NOT EXISTS entries_due ON entries (space, due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS entries_session ON entries (session, key) WHERE session IS NOT NULL;

-- The newest token that wrote a key that is gone.
CREATE TABLE IF NOT EXISTS fences (
    id       INTEGER PRIMARY KEY,
    space    INTEGER NOT NULL,
    key      BLOB    NOT NULL CHECK (typeof(key) = 'blob'),
    token    INTEGER NOT NULL CHECK (typeof(token) = 'integer'),
    until_ms INTEGER NOT NULL CHECK (typeof(until_ms) = 'integer'),
    UNIQUE (space, key)
);

-- How many bytes the changes of the state have, by stretches of about a megabyte.
CREATE TABLE IF NOT EXISTS stretches (
    space INTEGER NOT NULL,
    first INTEGER NOT NULL CHECK (typeof(first) = 'integer'),  -- number of its first change
    bytes INTEGER NOT NULL CHECK (typeof(bytes) = 'integer'),
    PRIMARY KEY (space, first)
) WITHOUT ROWID;

-- Tasks. status: 0 ready, 1 delayed, 2 blocked, 3 claimed, 4 done, 5 dead. due_ms (end of its delay, 0: none) is
-- on the wall clock, as a delay outlives the machine; ends_us is the end of a claim's own time.
CREATE TABLE IF NOT EXISTS tasks (
    id           INTEGER PRIMARY KEY,
    space        INTEGER NOT NULL,
    task_id      TEXT    NOT NULL,
    queue        TEXT    NOT NULL,
    batch        TEXT    NOT NULL,                  -- '': in none
    dedupe_key   TEXT    NOT NULL,                  -- '': has none
    status       INTEGER NOT NULL CHECK (status IN (0, 1, 2, 3, 4, 5)),
    urgency      INTEGER NOT NULL CHECK (typeof(urgency) = 'integer'),  -- minus the priority
    number       INTEGER NOT NULL CHECK (typeof(number) = 'integer'),   -- its age, a queue number
    max_attempts INTEGER NOT NULL CHECK (typeof(max_attempts) = 'integer'),
    attempts     INTEGER NOT NULL DEFAULT 0 CHECK (typeof(attempts) = 'integer'),
    token        INTEGER NOT NULL DEFAULT 0 CHECK (typeof(token) = 'integer'),  -- of the last attempt
    pushed_ms    INTEGER NOT NULL CHECK (typeof(pushed_ms) = 'integer'),
    since_ms     INTEGER NOT NULL CHECK (typeof(since_ms) = 'integer'),
    since_us     INTEGER NOT NULL CHECK (typeof(since_us) = 'integer'),
    due_ms       INTEGER NOT NULL CHECK (typeof(due_ms) = 'integer'),
    session      INTEGER,                           -- that has claimed it
    agent_id     TEXT    NOT NULL DEFAULT '',       -- that has, or had, claimed it
    request_id   TEXT,                              -- by which it is claimed
    ends_us      INTEGER CHECK (typeof(ends_us) IN ('integer', 'null')),
    ended        INTEGER NOT NULL DEFAULT 0 CHECK (typeof(ended) = 'integer'),  -- number of its end
    duration_ms  INTEGER NOT NULL DEFAULT 0 CHECK (typeof(duration_ms) = 'integer'),
    error        TEXT    NOT NULL DEFAULT '',
    pushed_by    TEXT    NOT NULL DEFAULT '',
    by_hand      INTEGER NOT NULL DEFAULT 0,        -- 1: a person pushed it
    UNIQUE (space, task_id)
);
CREATE INDEX IF NOT EXISTS tasks_ready ON tasks (space, queue, urgency, number) WHERE status = 0;
CREATE INDEX IF NOT EXISTS tasks_delayed ON tasks (space, queue, due_ms, number) WHERE status = 1;
CREATE INDEX IF NOT EXISTS tasks_blocked ON tasks (space, queue, number) WHERE status = 2;
CREATE INDEX IF NOT EXISTS tasks_claimed ON tasks (space, queue, token) WHERE status = 3;
CREATE INDEX IF NOT EXISTS tasks_held ON tasks (session, request_id) WHERE status = 3;
CREATE INDEX IF NOT EXISTS tasks_running ON tasks (space, ends_us) WHERE ends_us IS NOT NULL;
CREATE INDEX IF NOT EXISTS tasks_done ON tasks (space, queue, ended) WHERE status = 4;
CREATE INDEX IF NOT EXISTS tasks_dead ON tasks (space, queue, ended) WHERE status = 5;
CREATE INDEX IF NOT EXISTS tasks_batch ON tasks (space, batch, ended) WHERE batch <> '' AND ended > 0;
CREATE UNIQUE INDEX IF NOT EXISTS tasks_keyed ON tasks (space, queue, dedupe_key) WHERE dedupe_key <> '' AND status < 4;

CREATE TABLE IF NOT EXISTS payloads (
    task INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);

-- Which tasks a task depends on and that are not done; these may be gone.
CREATE TABLE IF NOT EXISTS needs (
    space  INTEGER NOT NULL,
    needed TEXT    NOT NULL,
    task   INTEGER NOT NULL,
    PRIMARY KEY (space, needed, task)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS needs_task ON needs (task);

-- Tasks that are done, dead or removed and of whose dependents not all know it yet.
CREATE TABLE IF NOT EXISTS bereaved (
    id      INTEGER PRIMARY KEY,
    space   INTEGER NOT NULL,
    task_id TEXT    NOT NULL,
    status  INTEGER NOT NULL   -- 4 done, 5 dead, 6 removed
);

-- Counts of a queue (kind 0) or a batch (kind 1), as long as a task of it is there.
CREATE TABLE IF NOT EXISTS task_counts (
    space       INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    ready       INTEGER NOT NULL DEFAULT 0,
    delayed     INTEGER NOT NULL DEFAULT 0,
    blocked     INTEGER NOT NULL DEFAULT 0,
    claimed     INTEGER NOT NULL DEFAULT 0,
    dead        INTEGER NOT NULL DEFAULT 0,
    done        INTEGER NOT NULL DEFAULT 0,  -- ever
    kept        INTEGER NOT NULL DEFAULT 0,  -- of those done
    duration_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (space, kind, name)
) WITHOUT ROWID;

-- That a task was done (4) or dead (5), numbered 1, 2, 3 ... since `epoch` of the space's row in task_feeds.
CREATE TABLE IF NOT EXISTS task_ends (
    id          INTEGER PRIMARY KEY,
    space       INTEGER NOT NULL,
    number      INTEGER NOT NULL CHECK (typeof(number) = 'integer'),
    task_id     TEXT    NOT NULL,
    queue       TEXT    NOT NULL,
    batch       TEXT    NOT NULL,
    status      INTEGER NOT NULL CHECK (status IN (4, 5)),
    attempts    INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL CHECK (typeof(at_ms) = 'integer'),
    error       TEXT    NOT NULL,
    result      BLOB,
    UNIQUE (space, number)
);

CREATE TABLE IF NOT EXISTS task_feeds (
    space INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    last  INTEGER NOT NULL
);

-- Claims that wait, one row per queue; in line by id.
CREATE TABLE IF NOT EXISTS claimants (
    id         INTEGER PRIMARY KEY,
    space      INTEGER NOT NULL,
    queue      TEXT    NOT NULL,
    request_id TEXT    NOT NULL,
    session    INTEGER NOT NULL,
    listener   TEXT    NOT NULL
);
CREATE INDEX IF NOT EXISTS claimants_line ON claimants (space, queue, id);
CREATE INDEX IF NOT EXISTS claimants_request ON claimants (space, request_id);
CREATE INDEX IF NOT EXISTS claimants_session ON claimants (session);

-- Waiting claims that should ask again, until they do.
CREATE TABLE IF NOT EXISTS task_wakes (
    session    INTEGER NOT NULL,
    request_id TEXT    NOT NULL,
    number     INTEGER NOT NULL,  -- from the token counter: larger than any before
    PRIMARY KEY (session, request_id)
) WITHOUT ROWID;

-- Room that releases and departures get when the disk is full.
CREATE TABLE IF NOT EXISTS ballast (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    filler BLOB NOT NULL
);
