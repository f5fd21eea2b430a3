#!/usr/bin/env bash
# A client in curl: a database is made, filled, asked and deleted.
#   DBFORGE_TOKEN=dbf_… examples/client.sh
set -euo pipefail
url=${DBFORGE_URL:-http://127.0.0.1:8080}
: "${DBFORGE_TOKEN:?set it to a token; the first one is in db-data/.forge/root-token}"

# `Prefer: wait=20` holds an answer until its job has ended. --fail-with-body prints the problem, too.
call() {
  curl --silent --show-error --fail-with-body --header "Authorization: Bearer $DBFORGE_TOKEN" \
    --header 'Prefer: wait=20' "$@"
}
query() { call "$url/v1/databases/example-curl/query" --json "$1"; echo; }

call "$url/v1/databases" --json '{"name":"example-curl","ttl":"1h"}' >/dev/null
query '{"sql":"CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT NOT NULL)"}' >/dev/null
query '{"sql":"INSERT INTO items(name) VALUES (?1), (?2)","params":["lamp","chair"]}' >/dev/null
query '{"sql":"SELECT id, name FROM items ORDER BY id","shape":"objects"}'
call --request DELETE "$url/v1/databases/example-curl" >/dev/null
