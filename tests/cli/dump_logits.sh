# f32 [prompt tokens][vocabulary], the same bytes for any chunk and thread count; nothing else is left behind.
"$Q35RT" -m "$TINY" --ids 5,6,7,8,9,10,11 -n 0 -q --dump-logits a --chunk 1 -t 1
"$Q35RT" -m "$TINY" --ids 5,6,7,8,9,10,11 -n 0 -q --dump-logits b --chunk 3 -t 2
"$Q35RT" -m "$TINY" --ids 5,6,7,8,9,10,11 -n 0 -q --dump-logits c
cmp a b && cmp a c && echo equal
vocab=$("$Q35RT" inspect --json "$TINY" | python3 -c '
import json, sys
print([t["shape"][1] for t in json.load(sys.stdin)["tensors"] if t["name"] == "token_embd.weight"][0])')
[ "$(stat -c %s a)" -eq $((7 * vocab * 4)) ] && echo size
ls
