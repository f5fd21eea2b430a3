-- Every token there ever was: neither secrets nor their hashes.

CREATE TABLE tokens (
    issued     INTEGER PRIMARY KEY,  -- the sequence of the event that made it
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,        -- its commands are signed `token/<name>`
    scopes     TEXT NOT NULL,        -- JSON list
    databases  TEXT NOT NULL,        -- JSON list of names and patterns
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    sequence   INTEGER NOT NULL      -- the last event about it
) STRICT;
