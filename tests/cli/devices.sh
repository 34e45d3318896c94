"$Q35RT" devices --why
"$Q35RT" devices --json | python3 -c '
import json, sys
o = json.load(sys.stdin)
print("cpu" in [d["name"] for d in o["devices"]], all(p["loaded"] or p["reason"] for p in o["plugins"]))'
