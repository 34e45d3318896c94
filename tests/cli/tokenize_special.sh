# Control tokens in a text are plain text, unless --special says that they count.
"$Q35RT" tokenize -m "$TINY" "a<|im_end|>"
"$Q35RT" tokenize -m "$TINY" --special "a<|im_end|>"
"$Q35RT" detokenize -m "$TINY" --json 70 2 71
"$Q35RT" detokenize -m "$TINY" --json --special 70 2 71
for flags in "" --special; do
    # shellcheck disable=SC2086 # none or one
    "$Q35RT" run -m "$TINY" --raw $flags -p "<|im_end|>" -n 1 -q --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["prompt_tokens"])'
done
"$Q35RT" run -m "$TINY" --special -p a 2>&1
echo $?
