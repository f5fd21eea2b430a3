-- Every database there ever was.
--
-- What was purged or abandoned keeps its row, so that the history of its jobs and events can
-- still be joined with its name; `removed_at` says so, and no list of databases shows it.

CREATE TABLE databases (
    requested  INTEGER PRIMARY KEY,  -- the sequence of the event that asked for it
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    name_key   TEXT NOT NULL,        -- the name in lower case: names are unique without regard to case
    dns_label  TEXT NOT NULL,
    engine     TEXT NOT NULL,
    state      TEXT NOT NULL,        -- creating, ready, … and purged, abandoned once it is removed
    worker     TEXT,                 -- its worker's id under the runtime, while it has one
    protected  INTEGER NOT NULL,     -- 1 when it refuses to be deleted
    expires_at TEXT,                 -- when it goes to the trash by itself
    created_at TEXT NOT NULL,
    removed_at TEXT,                 -- when the last of it was removed
    sequence   INTEGER NOT NULL,     -- the last event about it
    document   TEXT NOT NULL         -- the whole database, as the rules know it: JSON
) STRICT;

-- The name is in both, so that a search for a part of it reads no rows that do not have it.
CREATE INDEX databases_kept ON databases (requested, name_key) WHERE removed_at IS NULL;
CREATE INDEX databases_by_state ON databases (state, requested, name_key);

-- The owners' marks on databases that are not removed.
CREATE TABLE labels (
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    database INTEGER NOT NULL, -- databases.requested
    PRIMARY KEY (key, value, database)
) STRICT, WITHOUT ROWID;

CREATE INDEX labels_by_database ON labels (database);
