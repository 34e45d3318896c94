# Cut anywhere: one sentence, exit code 3.
size=$(stat -c %s "$TINY")
for bytes in 3 10 23 24 100 1000 5000 $((size / 2)) $((size - 1)); do
    head -c "$bytes" "$TINY" >cut.gguf
    "$Q35RT" -m cut.gguf -p hello 2>message
    echo "$? $(wc -l <message) $(grep -c '^q35rt: ' message)"
done
