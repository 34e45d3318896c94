# Speed tests: which rows there are in which form; numbers that depend on time are blotted out.
export Q35RT_DEVICE_OPTIONS=cpu.isa=ref # no column of a unit that the machine has or has not
blot() { sed -E 's/[0-9]+\.[0-9]+/N/g; s/ +/ /g; s/reads N.*/LIMITS/; s/^[0-9]+ cores?,.*/MACHINE/'; }
"$Q35RT" bench -m "$TINY" -p 8,16 -n 4 -d 0,8 -r 2 -t 1 -q | blot
echo "-- two numbers of threads, no prompt"
"$Q35RT" bench -m "$TINY" -p 0 -n 3 -r 1 -t 1,2 -q | blot | cut -d '|' -f 1-4
echo "-- side by side"
"$Q35RT" bench -m "$TINY" -p 5 -n 2 -d 0,3 -b 1,7 --chunk 16 -r 1 -t 2 -q | blot | cut -d '|' -f 1-4
echo "-- csv"
"$Q35RT" bench -m "$TINY" -p 8 -n 4 -r 2 -t 1 -o csv -q >csv
head -1 csv | tr , '\n' | head -26
python3 - <<'PY'
import csv
for row in csv.DictReader(open("csv")):
    print({k: row[k] for k in ("model", "n_threads", "n_sequences", "n_prompt", "n_gen", "n_depth", "n_samples")})
PY
echo "-- json, jsonl"
"$Q35RT" bench -m "$TINY" -p 8 -n 4 -r 3 -t 1 -o json -q >json
"$Q35RT" bench -m "$TINY" -p 8 -n 4 -r 3 -t 1 -o jsonl -q >jsonl
python3 - <<'PY'
import json, math
rows = json.load(open("json"))
lines = [json.loads(line) for line in open("jsonl")]
print(len(rows), len(lines), rows[0].keys() == lines[0].keys())
for r in rows + lines:
    n = r["n_prompt"] + r["n_gen"]
    ts = r["samples_ts"]
    mean = sum(ts) / len(ts)
    sd = math.sqrt(sum((t - mean) ** 2 for t in ts) / (len(ts) - 1))
    near = lambda a, b, digit=1e-9: abs(a - b) <= 1e-6 * abs(b) + digit
    # Samples are printed with 9 digits: what a deviation computed from them can be off by, however small it is.
    print(r["n_prompt"], r["n_gen"], len(ts), near(r["avg_ts"], mean), near(r["stddev_ts"], sd, 1e-8 * mean),
          all(near(n / (ns * 1e-9), t) for ns, t in zip(r["samples_ns"], ts)),
          (r["gb_per_s"] is None) == (r["n_gen"] == 0), r["weight_bytes_per_step"], r["kv_bytes_per_step"])
    if r["n_gen"]:
        print(near(r["gb_per_s"], mean * (r["weight_bytes_per_step"] + r["kv_bytes_per_step"]) / 1e9))
PY
