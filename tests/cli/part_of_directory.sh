# A file out of a model directory: the directory is wanted.
shape="--hidden 32 --layers 1 --heads 2 --ffn 32 --vocab 300"
# shellcheck disable=SC2086 # words
"$Q35RT" generate-model custom model $shape --layout hf -q
for file in model.safetensors config.json; do
    "$Q35RT" -m "model/$file" -p hello 2>&1
    echo $?
done
