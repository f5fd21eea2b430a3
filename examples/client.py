"""A client in Python, with its standard library alone: a database is made, filled, asked and deleted.

    DBFORGE_TOKEN=dbf_… python3 examples/client.py
"""

import json
import os
import sys
import urllib.error
import urllib.request

URL = os.environ.get("DBFORGE_URL", "http://127.0.0.1:8080")
TOKEN = os.environ["DBFORGE_TOKEN"]


def call(method, path, body=None):
    """Asks the gateway and returns its answer; a problem ends the program with its text."""
    request = urllib.request.Request(
        URL + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/json",
            # Holds the answer until the job of a lifecycle call has ended.
            "Prefer": "wait=20",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        sys.exit(f"{problem['code']}: {problem['detail']} {problem.get('hint') or ''}")


def query(sql, params=()):
    """Runs one statement and returns its rows as dictionaries."""
    body = {"sql": sql, "params": list(params), "shape": "objects"}
    return call("POST", "/v1/databases/example-python/query", body)["rows"]


call("POST", "/v1/databases", {"name": "example-python", "ttl": "1h"})
query("CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
query("INSERT INTO items(name) VALUES (?1), (?2)", ["lamp", "chair"])
for row in query("SELECT id, name FROM items ORDER BY id"):
    print(row["id"], row["name"])
call("DELETE", "/v1/databases/example-python")
