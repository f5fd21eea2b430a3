-- What audit SQL sees of this file. Every question makes these views for itself, as temporary
-- ones, so they hide the tables of the same names; no migration is needed to change them.
-- `text_of(sequence, field, time)` reads the event in the log. It does nothing with the time: because
-- of that a walk through all events goes along the table or along the index of times, in the order
-- in which the log has them, and not along whichever index is the shortest.
-- Times are RFC 3339 in UTC and sort as text; `sequence` is the last event about a row,
-- `created_sequence` the one that began it.

CREATE TEMP VIEW events AS
SELECT sequence,
       time,
       kind,
       (SELECT name FROM main.databases WHERE id = events.database) AS database,
       database AS database_id,
       job AS job_id,
       actor,
       request_id,
       correlation_id,
       causation,
       text_of(sequence, 'commit', time) AS commit_id,
       iif(database IS NULL, 'forge', 'database/' || database) AS stream,
       text_of(sequence, 'data', time) AS data,
       text_of(sequence, 'previous_hash', time) AS previous_hash,
       text_of(sequence, 'hash', time) AS hash
FROM main.events;

CREATE TEMP VIEW jobs AS
SELECT id,
       kind,
       database_name AS database,
       database AS database_id,
       state,
       actor,
       request_id,
       attempts,
       error,
       created_at,
       started_at,
       finished_at,
       CAST(round(1000 * (unixepoch(finished_at, 'subsec') - unixepoch(started_at, 'subsec')))
            AS INTEGER) AS duration_ms,
       enqueued AS created_sequence,
       sequence
FROM main.jobs;

CREATE TEMP VIEW databases AS
SELECT id,
       name,
       dns_label,
       engine,
       state,
       worker,
       protected,
       document ->> '$.labels' AS labels,
       document ->> '$.limits' AS limits,
       expires_at,
       created_at,
       removed_at,
       requested AS created_sequence,
       sequence
FROM main.databases;

CREATE TEMP VIEW labels AS
SELECT labels.key, labels.value, databases.name AS database, databases.id AS database_id
FROM main.labels JOIN main.databases ON databases.requested = labels.database;

CREATE TEMP VIEW tokens AS
SELECT id,
       name,
       scopes,
       databases,
       created_at,
       expires_at,
       revoked_at,
       issued AS created_sequence,
       sequence
FROM main.tokens;
