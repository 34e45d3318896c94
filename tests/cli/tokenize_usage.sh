# Mistakes are usage errors, and a file without a tokenizer is one of the model.
try() {
    "$Q35RT" "$@" 2>&1
    echo "$?"
}
try tokenize a
try tokenize -m "$TINY" a b
try tokenize -m "$TINY" -p a b
try tokenize -m "$TINY" --ids --pieces a
try tokenize -m "$TINY" -f missing.txt
try detokenize -m "$TINY" 1 x
try detokenize -m "$TINY" 1 99999999
try detokenize -m "$TINY" -1
try detokenize -m "$TINY" --ids 1 2
try tokenize -m missing.gguf a
