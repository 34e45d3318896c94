# -n tokens, timings on standard error, the same text every time and for any thread count.
"$Q35RT" -m "$TINY" -p hello -n 12 --ignore-eos >a 2>timings
"$Q35RT" -m "$TINY" -p hello -n 12 --ignore-eos -q -t 1 >b
"$Q35RT" run -m "$TINY" -f - -n 12 --ignore-eos -q -t 2 --chunk 3 >c <<<"$(printf hello)x"
printf hello | "$Q35RT" run -m "$TINY" -f - -n 12 --ignore-eos -q -t 2 --chunk 3 >d
cmp a b && cmp a d && ! cmp -s a c && cat timings
