-- Every job there ever was.

CREATE TABLE jobs (
    enqueued      INTEGER PRIMARY KEY,  -- the sequence of the event that put it in the queue
    id            TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL,        -- create_database, …
    database      TEXT NOT NULL,        -- the id of the database whose queue it is in
    database_name TEXT NOT NULL,
    state         TEXT NOT NULL,        -- queued, running, retry_wait, succeeded, failed, stuck, cancelled
    actor         TEXT NOT NULL,
    request_id    TEXT NOT NULL,
    attempts      INTEGER NOT NULL,     -- how many have begun
    error         TEXT,                 -- what decided that it did not succeed
    created_at    TEXT NOT NULL,
    started_at    TEXT,
    finished_at   TEXT,
    sequence      INTEGER NOT NULL,     -- the last event that changed it
    document      TEXT NOT NULL         -- the whole job, as the rules know it: JSON
) STRICT;

-- A list walks the first of these that its filter names, in this order. The kind and the actor
-- are in the index of states, where one state may have a million jobs: they are compared there,
-- before a row is read.
CREATE INDEX jobs_by_database ON jobs (database);
CREATE INDEX jobs_by_state ON jobs (state, enqueued, kind, actor);
CREATE INDEX jobs_by_actor ON jobs (actor, enqueued, kind);
CREATE INDEX jobs_by_kind ON jobs (kind);
