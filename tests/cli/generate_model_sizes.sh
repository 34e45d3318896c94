# Sizes of the released shapes, known from their checkpoints: those of a layer times the number of layers, and a whole
# model's.
for shape in "ministral3-3b 26" "ministral3-8b 34" "ministral3-14b 40" "llama3-8b 32" "llama3-70b 80"; do
    "$Q35RT" generate-model "${shape% *}" layer.gguf --layers 1 --vocab 512 --type q2_k --no-tokenizer -q --force &&
        "$Q35RT" inspect --json layer.gguf | python3 -c '
import json, sys
sizes, layers = json.load(sys.stdin)["sizes"], int(sys.argv[2])
print(sys.argv[1], sizes["linear_parameters"] * layers, sizes["kv_bytes_per_token"] * layers)' ${shape}
done
"$Q35RT" generate-model smollm2-135m whole.gguf --type q4_0 -q && "$Q35RT" inspect -q whole.gguf
