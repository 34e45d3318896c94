# Time per op: every op is there, times add up to no more than there was, and the counting changes nothing.
"$Q35RT" bench -m "$TINY" -p 8 -n 4 -r 1 -t 2 --profile -o json -q >json || exit
python3 - <<'PY'
import json
for r in json.load(open("json")):
    p = r["profile"]
    whole = p["ns_per_step"]
    parts = sum(o["ns_per_step"] for o in p["ops"]) + p["barrier_ns_per_step"]
    rest = p["dispatch_ns_per_step"] + p["host_ns_per_step"]
    print(r["n_prompt"], r["n_gen"], sorted({o["op"] for o in p["ops"]}))
    print(parts > 0, rest > 0, abs(parts + rest - whole) <= 0.01 * whole, p["barriers_per_step"] > 0)
    print(sorted((o["op"], o["calls_per_step"]) for o in p["ops"] if o["op"] in ("attention", "linear ffn_up", "linear logits")))
    print([o["op"] for o in p["ops"] if o["gmac_per_s"] is not None and not o["op"].startswith("linear")])
    shares = [o["share"] for o in p["ops"]]
    print(shares == sorted(shares, reverse=True), sum(shares) <= 1.01)
PY
echo "-- some ops on a device that does not count"
plugin=$(dirname "$Q35RT")/../lib/plugins-extra/libq35rt-template.so
"$Q35RT" bench -m "$TINY" -p 0 -n 4 -r 1 -t 1 --profile --plugin "$plugin" --device template,cpu -o json -q >json
python3 -c 'import json; print([o["op"] for o in json.load(open("json"))[0]["profile"]["ops"] if not o["op"].startswith("linear")])' |
    tr "," "\n" | tr -d "[]' " | sort
echo "-- the table"
"$Q35RT" bench -m "$TINY" -p 0 -n 4 -r 1 -t 2 --profile -q | sed -n '/^tg4/,$p' | sed -E 's/[0-9]+\.[0-9]+/N/g; s/ +/ /g' | grep -E '^(\| op|barriers|outside|tg4)' | sed -E 's/ [A-Z0-9-]+ \|$/ UNIT |/; s/; by themselves.*//'
