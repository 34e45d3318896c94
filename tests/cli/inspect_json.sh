"$Q35RT" inspect --json "$TINY" | python3 -c '
import json, sys
o = json.load(sys.stdin)
print(sorted(o), sorted(o["sizes"]), o["metadata"]["general.architecture"])'
