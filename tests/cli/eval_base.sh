# A stored base: itself within 1e-6, with and without the text, windows as stored or fewer; saving the base of a
# comparison or the model gives the same bytes.
for i in $(seq 60); do echo "line $i of a text that is scored"; done >text
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --windows 4 --save-base base -q >/dev/null
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --windows 4 --base "$TINY" --save-base again -q --chunk 7 -t 1 >/dev/null
cmp base again && echo equal
numbers() {
    python3 -c '
import json, sys
o = json.load(sys.stdin)
b = o["base"]
print(o["windows"], o["window"], o["tokens_scored"], 0 < b["kl_mean"] < 1e-6, b["kl_max"] < 1e-6, b["same_top"],
      b["perplexity_ratio"], b["delta_p_rms"] < 1e-6, b["stored"], b["same_model"], b["act"], b["kv_type"], b["model"])'
}
"$Q35RT" eval -m "$TINY" --base base -q --json | numbers
"$Q35RT" eval -m "$TINY" --base base -f text --windows 2 --ctx 64 -q --json | numbers
head -c 1500 text >start
"$Q35RT" eval -m "$TINY" --base base -f start -q --json | numbers
"$MAKE_TINY" other.gguf --seed 2
"$Q35RT" eval -m other.gguf --base base -q --json | python3 -c '
import json, sys
b = json.load(sys.stdin)["base"]
print(b["same_model"], b["kl_mean"] > 1e-3)'
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --windows 1 --save-base base -q >/dev/null && stat -c %s base # replaced
ls
