# What cannot be compared is trouble, never "differs".
try() {
    "$Q35RT" compare "$@" 2>&1
    echo "$?"
}
"$MAKE_TINY" vocab.gguf --vocab 700
"$MAKE_TINY" wide.gguf --hidden 32
"$MAKE_TINY" deep.gguf --layers 3
"$Q35RT" -m "$TINY" --ids 5,6,7 -n 0 -q --dump-logits logits
cp "$TINY" a.gguf
try a.gguf vocab.gguf --ids 5
try a.gguf wide.gguf --ids 5 --layers
try a.gguf deep.gguf --ids 5 --layers
try a.gguf logits --ids 5,6,7,8
try a.gguf logits --ids 5,6,7 --layers
try logits logits --ids 5,6,7 | sed 's/bytes .. .. .. ../bytes X/'
try a.gguf nowhere.gguf --ids 5
try a.gguf --ids 5
try a.gguf --device cpu --ids 5
try a.gguf --device cpu,cpu,cpu --ids 5
try a.gguf --device cpu,nothing --ids 5
try a.gguf a.gguf
try a.gguf a.gguf --ids 100000
try a.gguf a.gguf --ids 5 --tolerance -1
try a.gguf a.gguf a.gguf --ids 5
yes 5 | head -1025 | tr '\n' ' ' >ids
try a.gguf a.gguf --ids @ids
"$Q35RT" compare a.gguf deep.gguf --ids 5 >/dev/full
echo $?
