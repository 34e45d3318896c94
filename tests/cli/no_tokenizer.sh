# A directory without a tokenizer: from ids to ids, and what needs one says so.
shape="--hidden 64 --layers 1 --heads 2 --ffn 64 --vocab 300"
# shellcheck disable=SC2086 # words
"$Q35RT" generate-model custom model $shape --layout hf --no-tokenizer -q
ls model
"$Q35RT" -m model --ids 1,2,3 -n 4 -q
"$Q35RT" -m model --ids 1,2,3 -n 4 -q --json | python3 -c 'import json, sys
o = json.load(sys.stdin)
print(o["text"] == " ".join(map(str, o["ids"])))'
for command in "run -m model -p hello" "chat -m model" "convert model out.gguf" "tokenize -m model hello"; do
    # shellcheck disable=SC2086
    "$Q35RT" $command 2>&1
    echo $?
done
"$Q35RT" convert model out.gguf --no-calibration -q && "$Q35RT" -m out.gguf --ids 1,2,3 -n 2 -q
