# Several sequences side by side: a row per number of them, whole steps, and bytes and tokens of all together.
"$Q35RT" bench -m "$TINY" -p 40 -n 6 -b 1,3,8 -d 0,40 -t 2 -r 2 -q --chunk 16 --profile -o json >json || exit
python3 - <<'PY'
import json
near = lambda a, b: abs(a - b) <= 1e-6 * abs(b)
one = {}
for r in json.load(open("json")):
    b, n = r["n_sequences"], r["n_prompt"] + r["n_gen"]
    key = (r["n_prompt"], r["n_gen"], r["n_depth"])
    one.setdefault(key, r)
    ops = {o["op"]: o["calls_per_step"] for o in r["profile"]["ops"]}
    print(*key, "x", b, all(near(b * n / (ns * 1e-9), t) for ns, t in zip(r["samples_ns"], r["samples_ts"])),
          near(r["kv_bytes_per_step"], b * one[key]["kv_bytes_per_step"]) if r["n_gen"] else "-",
          ops["linear ffn_up"], ops["linear logits"])
PY
"$Q35RT" bench -m "$TINY" -p 8 -n 4 -b 1,8 -t 1 -r 1 -q | sed -n 's/^| *[0-9]* | \([a-z0-9 ]*x\?[a-z0-9 ]*\) |.*/\1/p' | sed 's/ *$//'
