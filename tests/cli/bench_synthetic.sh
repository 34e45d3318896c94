# Random weights in memory: a real shape runs, and nothing is left on disk.
"$Q35RT" bench --synthetic smollm2-135m -p 4 -n 2 -r 1 -t 1 -o json -q >json || exit
python3 - <<'PY'
import json
for r in json.load(open("json")):
    print(r["model"], r["model_n_params"], r["model_size"], r["n_prompt"], r["n_gen"], r["avg_ts"] > 0)
PY
find "$HOME" . -type f
