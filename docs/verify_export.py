"""Verifies an export: python3 verify_export.py EXPORT [SEQUENCE HASH]; the last two are a head kept elsewhere."""
import hashlib, json, sys

seen, sequence, previous = {}, 0, "0" * 64
for line in open(sys.argv[1], "rb"):
    event = json.loads(line)
    sequence += 1
    stored = {key: event[key] for key in event if key not in ("hash", "previous_hash")}
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(bytes.fromhex(previous) + text.encode()).hexdigest()
    ends = f',"previous_hash":"{previous}","hash":"{digest}"}}\n'
    if event["sequence"] != sequence or line != (text[:-1] + ends).encode():
        sys.exit(f"line {sequence} is not what was written")
    seen[sequence] = previous = digest
if len(sys.argv) > 2 and seen.get(int(sys.argv[2])) != sys.argv[3]:
    sys.exit(f"it ends below event {sys.argv[2]}, or is another history")
print(f"whole: {sequence} events, head {previous}")
