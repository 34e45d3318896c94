# A model against itself: no divergence, ratio 1; a random model's perplexity is finite; --json says the same.
for i in $(seq 60); do echo "line $i of a text that is scored"; done >text
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --windows 4 --base "$TINY" -q
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --windows 4 --base "$TINY" -q --json | python3 -c '
import json, sys
o = json.load(sys.stdin)
print(o["tokens_scored"], o["windows"], o["base"]["kl_mean"], o["base"]["same_top"], o["base"]["perplexity_ratio"], o["perplexity"] > 1)'
