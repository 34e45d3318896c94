# The same file on another numeric path: close, not equal.
for i in $(seq 60); do echo "line $i of a text that is scored"; done >text
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --windows 2 --base "$TINY" --base-act f32 --base-kv-type f32 -q --json |
    python3 -c '
import json, sys
kl = json.load(sys.stdin)["base"]["kl_mean"]
print(0 < kl < 0.05 or kl)'
"$Q35RT" eval -m "$TINY" -f text --base-act f32
echo $?
