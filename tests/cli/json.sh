# --json: one object whose ids have the length asked for and which other tools can read.
"$Q35RT" -m "$TINY" --ids 5,6,7 -n 9 --ignore-eos --json >out.json
python3 - <<'PY'
import json
o = json.load(open("out.json"))
print(o["prompt_tokens"], len(o["ids"]), o["stop"], sorted(o["timings"]), sorted(o["memory"]))
PY
