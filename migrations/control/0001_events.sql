-- Every event, and how far this file has followed the log.
--
-- The whole file is a read model: it may be deleted at any time and is built again from the log.
-- A migration that changes what the other tables hold empties all tables and sets `progress` back
-- to 0, so that they are folded again.

CREATE TABLE events (
    sequence   INTEGER PRIMARY KEY, -- its place in the log, from 1, none left out
    time       TEXT NOT NULL,       -- RFC 3339, UTC, milliseconds; sorts as text, never goes back
    kind       TEXT NOT NULL,       -- database_requested, job_succeeded, …
    database   TEXT,                -- the id of the database it is about
    job        TEXT,                -- the id of the job it is about
    actor      TEXT NOT NULL,       -- who caused it
    request_id TEXT NOT NULL,       -- the request that caused it
    event      TEXT NOT NULL        -- the event as exports show it, hashes included: JSON
) STRICT;

-- Every index goes on with `sequence` (it is the row's id), so that a filtered list walks one
-- index in order and starts at its cursor.
CREATE INDEX events_by_time ON events (time);
CREATE INDEX events_by_kind ON events (kind);
CREATE INDEX events_by_database ON events (database);
CREATE INDEX events_by_job ON events (job);
CREATE INDEX events_by_actor ON events (actor);
-- Neither column alone is selective: most events are the runner's, and of a few kinds.
CREATE INDEX events_by_actor_and_kind ON events (actor, kind);

CREATE TABLE progress (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    sequence INTEGER NOT NULL, -- the last event that all tables have followed
    hash     TEXT NOT NULL     -- its hash: whether this file belongs to this log
) STRICT;

INSERT INTO progress (only, sequence, hash) VALUES (1, 0, printf('%064d', 0));
