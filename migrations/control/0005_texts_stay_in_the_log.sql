-- The texts of events stay in the log; here is what they are found by. Jobs keep what no column
-- of theirs says.
--
-- Ids lie as 16 bytes, and the columns with their texts are generated: a row takes half the room,
-- and indexes hold the texts that people look for. What the tables held is folded from the log
-- again.

DROP TABLE events;

CREATE TABLE events (
    sequence          INTEGER PRIMARY KEY, -- its place in the log, from 1, none left out
    time              TEXT NOT NULL,       -- RFC 3339, UTC, milliseconds; sorts as text, never goes back
    kind              TEXT NOT NULL,       -- database_requested, job_succeeded, …
    actor             TEXT NOT NULL,       -- who caused it
    causation         INTEGER,             -- the event that caused it
    database_bytes    BLOB,
    job_bytes         BLOB,
    request_bytes     BLOB NOT NULL,
    correlation_bytes BLOB,                -- NULL where it is that of the request
    database          TEXT                 -- the id of the database it is about
        AS (iif(database_bytes IS NULL, NULL, lower(
            substr(hex(database_bytes), 1, 8) || '-' || substr(hex(database_bytes), 9, 4) || '-' ||
            substr(hex(database_bytes), 13, 4) || '-' || substr(hex(database_bytes), 17, 4) || '-' ||
            substr(hex(database_bytes), 21)))),
    job               TEXT                 -- the id of the job it is about
        AS (iif(job_bytes IS NULL, NULL, lower(
            substr(hex(job_bytes), 1, 8) || '-' || substr(hex(job_bytes), 9, 4) || '-' ||
            substr(hex(job_bytes), 13, 4) || '-' || substr(hex(job_bytes), 17, 4) || '-' ||
            substr(hex(job_bytes), 21)))),
    request_id        TEXT NOT NULL        -- the request that caused it
        AS (lower(
            substr(hex(request_bytes), 1, 8) || '-' || substr(hex(request_bytes), 9, 4) || '-' ||
            substr(hex(request_bytes), 13, 4) || '-' || substr(hex(request_bytes), 17, 4) || '-' ||
            substr(hex(request_bytes), 21))),
    correlation_id    TEXT NOT NULL        -- the request at the beginning of the chain of causes
        AS (iif(correlation_bytes IS NULL, request_id, lower(
            substr(hex(correlation_bytes), 1, 8) || '-' || substr(hex(correlation_bytes), 9, 4) || '-' ||
            substr(hex(correlation_bytes), 13, 4) || '-' || substr(hex(correlation_bytes), 17, 4) || '-' ||
            substr(hex(correlation_bytes), 21))))
) STRICT;

CREATE INDEX events_by_time ON events (time);
CREATE INDEX events_by_kind ON events (kind);
CREATE INDEX events_by_database ON events (database);
CREATE INDEX events_by_job ON events (job);
CREATE INDEX events_by_actor ON events (actor);
CREATE INDEX events_by_actor_and_kind ON events (actor, kind);

DELETE FROM jobs;
DELETE FROM databases;
DELETE FROM labels;
DELETE FROM tokens;
UPDATE progress SET sequence = 0, hash = printf('%064d', 0);
