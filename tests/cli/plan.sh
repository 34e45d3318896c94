# Graph and plan of decoding and of a prefill step; both name the ops of every layer.
"$Q35RT" plan -m "$TINY" >decode
"$Q35RT" plan -m "$TINY" --tokens 16 >prefill
grep -q cpu decode && echo placed
[ "$(wc -l <decode)" -gt 20 ] && echo graph
cmp -s decode prefill || echo differs
