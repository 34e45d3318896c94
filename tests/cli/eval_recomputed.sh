# All numbers of a comparison once more, by other means: from the logits that run writes, in plain double arithmetic.
"$MAKE_TINY" other.gguf --dtype Q4_0
for i in $(seq 60); do echo "line $i of a text that is scored"; done >text
"$Q35RT" eval -m other.gguf -f text --ctx 64 --windows 3 --base "$TINY" --base-act f32 --base-kv-type f32 -q --json >live
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --windows 3 --act f32 --kv-type f32 --save-base base -q --json >saved
"$Q35RT" eval -m other.gguf --base base -q --json >stored
"$Q35RT" tokenize -m "$TINY" -f text --ids | tr , ' ' | tr -s ' ' '\n' >all
for w in 0 1 2; do
    ids=$(tail -n +$((64 * w + 1)) all | head -64 | paste -sd,)
    echo "$ids" >"ids.$w"
    "$Q35RT" -m other.gguf --ids "$ids" -n 0 -q --dump-logits "model.$w"
    "$Q35RT" -m "$TINY" --ids "$ids" -n 0 -q --dump-logits "base.$w" --act f32 --kv-type f32
done
python3 - <<'EOF'
import array, json, math, statistics

def log_softmax(row):
    most = max(row)
    norm = most + math.log(math.fsum(math.exp(x - most) for x in row))
    return [x - norm for x in row]

def rows(name, w):
    a = array.array("f")
    with open(f"{name}.{w}", "rb") as f:
        a.frombytes(f.read())
    n = len(a) // 64
    return [log_softmax(a[n * p : n * p + n]) for p in range(31, 63)]

loss, base_loss, kl, gain, same = [], [], [], [], []
for w in range(3):
    ids = [int(x) for x in open(f"ids.{w}").read().split(",")]
    for token, m, b in zip(ids[32:], rows("model", w), rows("base", w)):
        loss.append(-m[token])
        base_loss.append(-b[token])
        kl.append(math.fsum(math.exp(y) * (y - x) for x, y in zip(m, b)))
        gain.append(math.exp(m[token]) - math.exp(b[token]))
        same.append(m.index(max(m)) == b.index(max(b)))
n = len(loss)

def error(x):
    return statistics.stdev(x) / math.sqrt(n)

def quantile(x, q):
    x, at = sorted(x), q * (n - 1)
    return x[int(at)] + (at - int(at)) * (x[min(int(at) + 1, n - 1)] - x[int(at)])

ratio = math.exp(statistics.fmean(loss) - statistics.fmean(base_loss))
rms = math.sqrt(statistics.fmean(g * g for g in gain))
share = sum(same) / n
want = {
    "perplexity": math.exp(statistics.fmean(base_loss)),
    "perplexity_error": math.exp(statistics.fmean(base_loss)) * error(base_loss),
    "perplexity_ratio": ratio,
    "perplexity_ratio_error": ratio * error([x - y for x, y in zip(loss, base_loss)]),
    "kl_mean": statistics.fmean(kl), "kl_error": error(kl), "kl_median": quantile(kl, 0.5),
    "kl_p90": quantile(kl, 0.9), "kl_p99": quantile(kl, 0.99), "kl_max": max(kl),
    "same_top": share, "same_top_error": math.sqrt(share * (1 - share) / n),
    "delta_p": statistics.fmean(gain), "delta_p_error": error(gain),
    "delta_p_rms": rms, "delta_p_rms_error": error([g * g for g in gain]) / (2 * rms),
}
print("scored", n, "in all:", kl and 0 < share < 1 and want["kl_mean"] > 1e-4)
for name, tolerance in (("live", 1e-6), ("stored", 1e-3)):
    out = json.load(open(name))
    bad = [f"{k} {out['base'][k]} {v}" for k, v in want.items() if abs(out["base"][k] - v) > tolerance * abs(v)]
    if abs(out["perplexity"] - math.exp(statistics.fmean(loss))) > 1e-6 * out["perplexity"]:
        bad.append("perplexity")
    print(name, bad or "agrees")
saved = json.load(open("saved"))
print(saved["perplexity"] == json.load(open("stored"))["base"]["perplexity"], saved["saved"]["stored_kl_mean"] < 1e-8)
EOF
