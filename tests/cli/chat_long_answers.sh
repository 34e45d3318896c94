# Answers stay in the KV cache as they were generated, whatever tokens their text has: the second turn evaluates only
# its message. An answer that reaches the end of the context goes on behind fewer turns; one alone in it ends.
"$Q35RT" chat -m "$TINY" -n 60 --ignore-eos 2>log >text <<E2
one
/stats
two
/stats
/system other
three
/stats
E2
python3 - <<'PY'
import re
turns = [tuple(map(int, m)) for m in re.findall(r"last turn: (\d+) tokens reused, (\d+) evaluated", open("log").read())]
(none, first), (same, new), (little, rest) = turns
print(none, same == first + 59, new < 40, little < 10, rest > 100)
PY
printf '%s\n' one two /stats | "$Q35RT" chat -m "$TINY" -c 256 -n 150 --ignore-eos 2>&1 >text | sed '/^last turn/d; s/([0-9]* tokens)/(N tokens)/; s/conversation: [0-9]*/conversation: N/'
printf '%s\n' one two /stats | "$Q35RT" chat -m "$TINY" -c 256 --ignore-eos 2>&1 >text | sed '/^last turn/d; s/([0-9]* tokens)/(N tokens)/; s/conversation: [0-9]*/conversation: N/'
