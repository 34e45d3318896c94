# One scale of blk.1.ffn_up doubled or halved: layer 1 is the first that differs, and verify names the same tensor.
"$MAKE_TINY" source.gguf --layers 3
"$Q35RT" convert source.gguf a.gguf --no-calibration -q || exit
python3 - <<'PY'
import json, os, subprocess
o = json.loads(subprocess.run([os.environ["Q35RT"], "inspect", "--json", "a.gguf"], capture_output=True).stdout)
data = bytearray(open("a.gguf", "rb").read())
sizes = [(t["name"], -(-t["bytes"] // 32) * 32) for t in o["tensors"]]
at = [n for n, _ in sizes].index("blk.1.ffn_up.weight")
start = -(-len(data) // 32) * 32 - sum(s for _, s in sizes[at:])
data[start + 1] ^= 0x04  # a half: the lowest bit of the exponent
open("b.gguf", "wb").write(data)
PY
"$Q35RT" verify -q b.gguf | grep FAILED | grep -o 'blk[.a-z_0-9]*'
"$Q35RT" compare a.gguf b.gguf -p "hello, world" --layers --tolerance 1e-6 | grep '^first .*differs\|^first beyond\|^blk.0'
echo "${PIPESTATUS[0]}"
"$Q35RT" compare a.gguf b.gguf -p "hello, world" --layers --tolerance 1e6 | tail -1 | tr '0-9' N | tr -s N
echo "${PIPESTATUS[0]}"
"$Q35RT" compare a.gguf b.gguf -p "hello, world" --layers --tolerance 1e-6 --json | python3 -c '
import json, sys
o = json.load(sys.stdin)
print(o["verdict"], o["first_layer_differs"], o["first_layer_beyond"], [l["differ"] > 0 for l in o["layers"]],
      all(l["max_ulp"] > 0 and l["max_difference"] > 0 for l in o["layers"][1:]), o["kl_mean"] > 0)'
