# The same seed gives the same text, another one another; every sampling flag is accepted.
run() { "$Q35RT" -m "$TINY" -p hello -n 40 -q --ignore-eos --temp 1 --json "$@" | python3 -c 'import json, sys; print(json.load(sys.stdin)["ids"])'; }
[ "$(run -s 3)" = "$(run -s 3)" ] && echo same
[ "$(run -s 3)" = "$(run -s 4)" ] || echo other
run --top-k 1 >top1
run --temp 0 >greedy
cmp top1 greedy && echo "top-k 1 is greedy"
run --top-k 40 --top-p 0.9 --min-p 0.05 --repeat-penalty 1.1 --repeat-last-n 16 >all && echo accepted
