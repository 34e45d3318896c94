# A model against the logits it wrote, on either side; against changed ones: position, tokens, lead.
"$Q35RT" -m "$TINY" --ids 5,6,7,8,9,10,11 -n 0 -q --dump-logits logits
"$Q35RT" compare "$TINY" logits --ids 5,6,7,8,9,10,11 --chunk 2 -q | tail -1
"$Q35RT" compare logits "$TINY" --ids 5,6,7,8,9,10,11 | tail -1
python3 - <<'PY'
import struct
data = bytearray(open("logits", "rb").read())
vocab = len(data) // 28
row = list(struct.unpack_from(f"<{vocab}f", data, 3 * vocab * 4))
order = sorted(range(vocab), key=lambda i: -row[i])
struct.pack_into("<f", data, (3 * vocab + order[1]) * 4, row[order[0]] + 0.5)
open("changed", "wb").write(data)
struct.pack_into("<f", data, 8, float("nan"))
open("nan", "wb").write(data)
open("want", "w").write(f"{order[0]} {order[1]} {row[order[0]] - row[order[1]]:.5f} 0.50000\n")
PY
"$Q35RT" compare "$TINY" changed --ids 5,6,7,8,9,10,11 --json >json
echo $?
python3 -c '
import json
o = json.load(open("json"))
p = o["other_top"]
want = open("want").read().split()
print(o["differences"], p["position"], o["same_top"], o["kl_max_position"], p == o["logits_beyond"])
print([str(t) for t in p["top"]] + [f"{m:.5f}" for m in p["margin"]] == want)'
"$Q35RT" compare "$TINY" nan --ids 5,6,7,8,9,10,11
echo $?
