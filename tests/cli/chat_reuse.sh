# The second turn finds the first one in the KV cache and evaluates only what is new; another system message changes
# everything behind it. A conversation loaded into a chat is answered as in a new program.
long=$(printf 'hello %.0s' {1..100})
"$Q35RT" chat -m "$TINY" -n 4 --ignore-eos 2>log >text <<E2
$long
/stats
/save first.json
two
/stats
/system other
three
/stats
E2
python3 - <<'PY'
import re
turns = [tuple(map(int, m)) for m in re.findall(r"last turn: (\d+) tokens reused, (\d+) evaluated", open("log").read())]
(none, first), (same, new), (little, all) = turns
print(none, same >= first > 100, new < 40, little < 10, all > first)
PY
grep -v "last turn" log | sed 's/: [0-9]* tokens of/: N tokens of/'
echo two | "$Q35RT" chat -m "$TINY" -n 4 --ignore-eos -q --load first.json >new
printf 'other\n%s x\n/load first.json\ntwo\n' "$long" | "$Q35RT" chat -m "$TINY" -n 4 --ignore-eos -q >gone_on
python3 -c '
new = open("new", "rb").read()
print(len(new) > 1, open("gone_on", "rb").read().endswith(b"\n" + new))'
