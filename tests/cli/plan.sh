# Graph and plan of decoding and of a prefill step; both name the ops of every layer.
"$Q35RT" plan -m "$TINY" >decode
"$Q35RT" plan -m "$TINY" --tokens 16 >prefill
grep -q cpu decode && echo placed
[ "$(wc -l <decode)" -gt 20 ] && echo graph
cmp -s decode prefill || echo differs
"$Q35RT" plan -m "$TINY" --json >plan.json
python3 - <<'PY'
import json
plan = json.load(open("plan.json"))
nodes = [n for s in plan["steps"] if s["kind"] == "run" for n in s["nodes"]]
print(plan["nodes"] == len(nodes), plan["placed_by"], all(n["answers"][0]["ns"] > 0 for n in nodes))
PY
