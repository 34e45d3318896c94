# Two builds of one file are the same to the bit, in any number of steps and threads; exit code 0.
cp "$TINY" copy.gguf
"$Q35RT" convert "$TINY" a.gguf --no-calibration -q || exit
"$Q35RT" convert "$TINY" b.gguf --no-calibration -q -t 1 || exit
"$Q35RT" compare "$TINY" copy.gguf -p "hello, world" --layers | tail -n +2
echo "${PIPESTATUS[0]}"
"$Q35RT" compare a.gguf b.gguf -p "hello, world" --layers --chunk 3 -q --tolerance 0 | tail -1
"$Q35RT" compare a.gguf b.gguf -p "hello, world" --layers --json | python3 -c '
import json, sys
o = json.load(sys.stdin)
print(o["verdict"], o["differences"], [l["differ"] for l in o["layers"]], o["logits_beyond"], o["kl_mean"])'
