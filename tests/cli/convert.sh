# Convert, inspect, verify; the same bytes again and with another thread count; refuses to overwrite without --force.
"$Q35RT" convert "$TINY" a.gguf --no-calibration -q || exit
"$Q35RT" convert "$TINY" b.gguf --no-calibration -q -t 1 || exit
cmp a.gguf b.gguf && echo identical
"$Q35RT" inspect -q a.gguf | grep '^bits per code'
"$Q35RT" verify -q a.gguf --against "$TINY"
"$Q35RT" convert "$TINY" a.gguf --no-calibration -q
echo "$?"
"$Q35RT" convert "$TINY" a.gguf --no-calibration -q --force && echo replaced
cmp a.gguf b.gguf && ls
"$Q35RT" -m a.gguf -p hello -n 4 -q --ignore-eos >text && echo runs
