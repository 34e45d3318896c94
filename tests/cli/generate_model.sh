# Random models: the same one in every layout, every type runs, what does not fit is refused.
shape="--arch mistral3 --hidden 64 --layers 2 --heads 4 --kv-heads 2 --head-dim 32 --ffn 96 --vocab 300 --context 4096"
for layout in gguf hf mistral; do
    # shellcheck disable=SC2086 # words
    "$Q35RT" generate-model custom "m-$layout" $shape --layout "$layout" -q || echo "$layout: generate: $?"
    "$Q35RT" -m "m-$layout" --ids 5,6,7 -n 4 -q --dump-logits "$layout.f32" --act f32 --kv-type f32 >"$layout.txt" ||
        echo "$layout: run: $?"
done
cmp gguf.f32 hf.f32 && cmp gguf.f32 mistral.f32 && cmp gguf.txt hf.txt && cmp gguf.txt mistral.txt && echo "layouts agree"
ls m-hf m-mistral
for threads in 1 2 3; do
    # shellcheck disable=SC2086
    "$Q35RT" generate-model custom again $shape -t $threads --force -q && cmp again m-gguf
done
# shellcheck disable=SC2086
"$Q35RT" generate-model custom other $shape -s 2 -q && cmp -s other m-gguf && echo "another seed, the same bytes"
for type in f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k iq4_nl iq4_xs; do
    "$Q35RT" generate-model custom "$type.gguf" --hidden 256 --layers 1 --heads 4 --ffn 256 --vocab 300 --type $type -q &&
        "$Q35RT" -m "$type.gguf" -p hi -n 2 -q >text && "$Q35RT" inspect "$type.gguf" | grep -c -i "ffn_down.weight  $type "
done
# shellcheck disable=SC2086
"$Q35RT" generate-model custom f8 $shape --layout hf --type f8_e4m3 -q && "$Q35RT" -m f8 --ids 1,2 -n 2 -q >text &&
    "$Q35RT" convert f8 f8.gguf --no-calibration -q && "$Q35RT" verify f8.gguf --against f8 -q && echo "FP8 verified"
for wrong in "ministral3-8x a" "custom a" "custom a --hidden 64 --layers 1 --heads 4 --kv-heads 3 --ffn 64 --vocab 300" \
    "custom m-hf --hidden 64" "custom m-gguf --hidden 64" "custom a --hidden 64 --layers 1 --heads 2 --ffn 64 --vocab 300 --type f8_e4m3" \
    "custom nowhere/a --hidden 64 --layers 1 --heads 2 --ffn 64 --vocab 300"; do
    # shellcheck disable=SC2086
    "$Q35RT" generate-model $wrong 2>&1
    echo "$?"
done
find . -name "*part*"
